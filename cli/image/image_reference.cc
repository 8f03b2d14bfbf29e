#include "cli/image/image_reference.h"

#include "absl/strings/str_cat.h"

namespace mayfly::cli {
namespace {

constexpr char kHostCharacters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
constexpr char kPathCharacters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
constexpr char kTagCharacters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
constexpr std::size_t kLongestTag = 128;

absl::Status Wrong(std::string_view text, const char* sentence) {
  return absl::InvalidArgumentError(absl::StrCat("\"", std::string(text), "\" is no name of an image: ",
                                                 sentence, ", as in registry.example.com/tools/thumbnail:1"));
}

}  // namespace

absl::StatusOr<ImageReference> ParseImageReference(std::string_view text) {
  if (text.find('@') != std::string_view::npos)
    return Wrong(text, "the digest is what comes out; give a tag, or none");
  ImageReference reference;
  std::string_view rest = text;
  const std::size_t slash = rest.find('/');
  const std::string_view first = rest.substr(0, slash);
  if (slash != std::string_view::npos &&
      (first.find_first_of(".:") != std::string_view::npos || first == "localhost")) {
    reference.host = first;
    rest.remove_prefix(slash + 1);
  } else {
    reference.host = "docker.io";
  }
  const std::size_t colon = rest.rfind(':');
  reference.tag = colon == std::string_view::npos ? "latest" : rest.substr(colon + 1);
  reference.path = rest.substr(0, colon);
  if (reference.host == "docker.io" && reference.path.find('/') == std::string::npos)
    return Wrong(text, "begin it with the registry's host");
  if (reference.host.find_first_not_of(kHostCharacters) != std::string::npos || reference.host.ends_with(':'))
    return Wrong(text, "its host is none");
  if (reference.path.empty() || reference.path.find_first_not_of(kPathCharacters) != std::string::npos ||
      reference.path.find("//") != std::string::npos || reference.path.find("..") != std::string::npos ||
      reference.path.ends_with('/'))
    return Wrong(text, "its path has lower-case letters, digits, \".\", \"_\", \"-\" and \"/\"");
  if (reference.tag.empty() || reference.tag.size() > kLongestTag ||
      reference.tag.find_first_not_of(kTagCharacters) != std::string::npos)
    return Wrong(text, "its tag has letters, digits, \".\", \"_\" and \"-\"");
  return reference;
}

}  // namespace mayfly::cli
