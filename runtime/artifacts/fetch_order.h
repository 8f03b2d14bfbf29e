// What mayfly-fetch is told on its standard input, and what it answers on its standard output.
//
// An order is fields of text, each ended by a NUL: nothing of it is on a command line, since URLs and environments hold
// secrets. The answer is lines: "progress BYTES TOTAL" now and then (TOTAL is 0 while it is unknown), and last
// "fetched SHA256", or "failed REASON SENTENCE".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::runtime {

inline constexpr std::size_t kMaxOrderBytes = 1u << 20;
inline constexpr std::size_t kMaxAnswerLine = 4096;

// As whom a registry is asked: what of these is given.
struct RegistryLogin {
  std::string username = {};
  std::string password = {};
  std::string identity_token = {};  // for the registry's token server, instead of a password
  std::string registry_token = {};  // for the registry itself

  bool operator==(const RegistryLogin&) const = default;
};

// An image that has a module in it.
struct ImageSource {
  std::string reference = {};              // "": there is none
  std::vector<RegistryLogin> logins = {};  // each is tried until one may; none: nobody is logged in
  std::string ca_certificates = {};        // PEM, beside those that the system trusts
  bool plain_http = false;

  bool operator==(const ImageSource&) const = default;
};

// Where a module is: at a URL, or in an image.
struct ModuleSource {
  std::string url = {};  // https://, http:// or s3://BUCKET/KEY
  ImageSource image = {};

  bool operator==(const ModuleSource&) const = default;
  // As it may be shown.
  std::string Shown() const;
};

struct FetchOrder {
  ModuleSource source = {};
  std::string sha256 = {};        // 64 lower-case hexadecimal digits; "": what the image's own digests say
  std::string folder = {};        // the cache; see ModuleCache
  std::uint64_t cache_bytes = 0;  // what the cache may keep
  std::uint64_t most_bytes = 0;   // what a module may have
  std::string credentials_folder = {};  // a file for each setting, as a mounted Secret has them; "": none
  std::chrono::milliseconds timeout{0};
  std::map<std::string, std::string> settings =
      {};  // from the environment; files of the folder come before them

  bool operator==(const FetchOrder&) const = default;
};

std::string Encode(const FetchOrder& order);
// Nothing if `text` is no order.
std::optional<FetchOrder> DecodeFetchOrder(std::string_view text);

// The variables of the environment that say who fetches, and how.
extern const char* const kFetchVariables[];
extern const std::size_t kFetchVariableCount;

// `url` as it may be shown: without a user, a password or a query, which hold secrets.
std::string ShownUrl(std::string_view url);

}  // namespace mayfly::runtime
