#include "runtime/artifacts/image_reference.h"

namespace mayfly::runtime {
namespace {

constexpr char kHostCharacters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
constexpr char kPathCharacters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
constexpr char kTagCharacters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
constexpr std::string_view kDigestPrefix = "sha256:";
constexpr std::size_t kDigestSize = 64;
constexpr std::size_t kLongestTag = 128;
constexpr char kHub[] = "docker.io";

bool IsPath(std::string_view path) {
  return !path.empty() && path.find_first_not_of(kPathCharacters) == std::string_view::npos &&
         path.find("//") == std::string_view::npos && path.find("..") == std::string_view::npos &&
         !path.starts_with('/') && !path.ends_with('/');
}

bool IsHost(std::string_view host) {
  return host.find_first_not_of(kHostCharacters) == std::string_view::npos && !host.ends_with(':');
}

bool IsTag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kLongestTag &&
         tag.find_first_not_of(kTagCharacters) == std::string_view::npos;
}

}  // namespace

std::optional<ImageReference> ParseImageReference(std::string_view text) {
  ImageReference reference;
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    std::string_view digest = text.substr(at + 1);
    if (!digest.starts_with(kDigestPrefix)) return std::nullopt;
    digest.remove_prefix(kDigestPrefix.size());
    if (!IsSha256(digest)) return std::nullopt;
    reference.digest = digest;
    text = text.substr(0, at);
  }
  const std::size_t slash = text.find('/');
  const std::string_view first = text.substr(0, slash);
  const bool has_host = slash != std::string_view::npos &&
                        (first.find_first_of(".:") != std::string_view::npos || first == "localhost");
  reference.host = has_host ? first : kHub;
  if (has_host) text.remove_prefix(slash + 1);
  const std::size_t colon = text.rfind(':');
  reference.tag = colon == std::string_view::npos ? "latest" : text.substr(colon + 1);
  reference.path = text.substr(0, colon);
  if (reference.host == kHub && reference.path.find('/') == std::string::npos)
    reference.path.insert(0, "library/");
  if (!IsHost(reference.host) || !IsPath(reference.path) || !IsTag(reference.tag)) return std::nullopt;
  return reference;
}

bool IsSha256(std::string_view text) {
  return text.size() == kDigestSize && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace mayfly::runtime
