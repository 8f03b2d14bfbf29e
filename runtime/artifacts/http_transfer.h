// One request to a server, by the rules that hold for everything that mayfly-fetch asks for: http and https alone, five
// redirects at most and never from https to http, no server without a certificate that is trusted, no wait without an
// end. libcurl keeps what headers say who asks from other hosts than the one that is asked first.
//
// Blocks; one thread. A transfer may be used again; then it keeps its connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::runtime {

inline constexpr long kMostRedirects = 5;

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers = {};  // "name: value"
  std::string username = {};
  std::string password = {};  // "": no Basic authentication
  std::string form = {};      // what is posted; "": it is a GET
  bool follow_redirects = true;
  // SSL_CERT_FILE and ca.crt say whom to trust instead of whom the system trusts.
  const std::map<std::string, std::string>* settings = nullptr;
  std::chrono::steady_clock::time_point deadline = {};
};

enum class TransferError {
  kNone,  // there is an answer; code() says which
  kUntrusted,
  kNoTls,
  kBadUrl,
  kTooManyRedirects,
  kNoSuchHost,
  kTimedOut,
  kStopped,  // by the body's reader
  kBroken,
};

class HttpTransfer {
 public:
  // `name` is in lower case; "" begins an answer, of which there is one for each redirect.
  using OnHeader = std::function<void(std::string_view name, std::string_view value)>;
  // False ends the transfer.
  using OnBody = std::function<bool(std::string_view bytes)>;

  HttpTransfer();
  ~HttpTransfer();

  TransferError Run(const HttpRequest& request, const OnHeader& on_header, const OnBody& on_body);

  // Of the answer that came last:
  long code() const;
  std::int64_t content_length() const;  // -1: it is not told
  // What went wrong, in libcurl's words.
  const std::string& details() const { return details_; }

 private:
  struct Handle;

  const std::unique_ptr<Handle> handle_;
  std::string details_;
};

// Where libcurl looks for proxies: from `settings` into the environment of this process.
void ExportProxies(const std::map<std::string, std::string>& settings);

// For the value of a parameter in a query or a form: all but RFC 3986's unreserved characters as %XX.
std::string QueryEscape(const std::string& text);

// "HOST", without a port, of an http or https URL.
std::string HostOf(std::string_view url);
// Whether `host` is this machine by its name or address.
bool IsLoopback(std::string_view host);
// The certificates (PEM) that the system trusts.
std::string SystemAuthorities();

}  // namespace mayfly::runtime
