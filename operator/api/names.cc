#include "operator/api/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "operator/api/field_reader.h"

namespace mayfly::op {
namespace {

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlphanumeric(char c) { return IsLower(c) || IsUpper(c) || IsDigit(c); }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool IsLabel(std::string_view name) {
  for (const char c : name) {
    if (!IsLower(c) && !IsDigit(c) && c != '-') return false;
  }
  return !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-';
}

// Labels with dots between, at most 253 characters.
bool IsDomain(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  while (true) {
    const std::size_t dot = name.find('.');
    if (!IsLabel(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

// Letters, digits, "-", "_" and ".", with a letter or digit at both ends, at most 63 characters.
bool IsQualifiedName(std::string_view name) {
  for (const char c : name) {
    if (!IsAlphanumeric(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return !name.empty() && name.size() <= 63 && IsAlphanumeric(name.front()) && IsAlphanumeric(name.back());
}

// Unreserved, sub-delims, ":", "@" of RFC 3986.
bool IsPathCharacter(char c) {
  return IsAlphanumeric(c) || std::string_view("-._~!$&'()*+,;=:@").find(c) != std::string_view::npos;
}

// A parameter's name in {…}, "..." cut off.
std::string CheckParameter(std::string_view name, std::set<std::string>& seen) {
  const bool valid =
      !name.empty() && name.size() <= 63 && !IsDigit(name.front()) &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
          std::string_view::npos;
  if (!valid) {
    return fmt::format("the parameter {} is no name; use letters, digits and \"_\", as in {{id}}",
                       Quote(name));
  }
  if (!seen.insert(std::string(name)).second) {
    return fmt::format("the parameter {{{}}} comes twice; give each a name of its own", name);
  }
  return {};
}

std::string CheckSegment(std::string_view segment, bool last, std::set<std::string>& seen) {
  if (segment == "." || segment == "..") {
    return fmt::format("the segment {} never arrives: clients resolve it; write the path that is meant",
                       Quote(segment));
  }
  if (segment.starts_with('{') && segment.ends_with('}') && segment.size() > 1) {
    std::string_view name = segment.substr(1, segment.size() - 2);
    if (name.ends_with("...")) {
      if (!last) return fmt::format("{} matches the rest of a path, so it must come last", Quote(segment));
      name.remove_suffix(3);
    }
    return CheckParameter(name, seen);
  }
  for (std::size_t n = 0; n < segment.size(); n++) {
    if (segment[n] == '{' || segment[n] == '}') {
      return fmt::format(
          "the segment {} mixes text and a parameter; a parameter is a whole segment, as in /users/{{id}}",
          Quote(segment));
    }
    if (segment[n] == '%') {
      if (n + 2 >= segment.size() || !IsHex(segment[n + 1]) || !IsHex(segment[n + 2])) {
        return fmt::format("the segment {} has a \"%\" without two hexadecimal digits; write %25 for a \"%\"",
                           Quote(segment));
      }
      n += 2;
    } else if (!IsPathCharacter(segment[n])) {
      return fmt::format("the character {} cannot stand in a path; percent-encode it",
                         Quote(segment.substr(n, 1)));
    }
  }
  return {};
}

}  // namespace

std::string CheckLabelName(std::string_view name) {
  if (IsLabel(name)) return {};
  if (name.size() > 63) return fmt::format("{} has {} characters; use at most 63", Quote(name), name.size());
  return fmt::format(
      "{} is not a valid name; use lower-case letters, digits and \"-\", beginning and ending with a "
      "letter or digit",
      Quote(name));
}

std::string CheckSubdomain(std::string_view name) {
  if (IsDomain(name)) return {};
  if (name.size() > 253)
    return fmt::format("{} has {} characters; use at most 253", Quote(name), name.size());
  return fmt::format(
      "{} is not a valid name; use lower-case letters, digits, \"-\" and \".\", beginning and ending with a "
      "letter or digit",
      Quote(name));
}

std::string CheckHost(std::string_view host) {
  const std::string_view domain = host.starts_with("*.") ? host.substr(2) : host;
  if (IsDomain(domain)) return {};
  if (host.find(':') != std::string_view::npos) {
    return fmt::format("{} has a port or a scheme; write the host name alone, as in example.com",
                       Quote(host));
  }
  return fmt::format("{} is not a host name; write it in lower case, as in example.com or *.example.com",
                     Quote(host));
}

std::string CheckRoutePath(std::string_view path) {
  if (!path.starts_with('/'))
    return fmt::format("{} does not begin with \"/\"; write {}", Quote(path), Quote("/" + std::string(path)));
  if (path.size() > 1024) return fmt::format("the path has {} characters; use at most 1024", path.size());
  if (path.find('?') != std::string_view::npos) {
    return fmt::format("{} has a query; a route matches the path alone, so leave out \"?\" and what follows",
                       Quote(path));
  }
  if (path.find('#') != std::string_view::npos) {
    return fmt::format("{} has a fragment, which no client sends; leave out \"#\" and what follows",
                       Quote(path));
  }
  if (path.find("//") != std::string_view::npos) {
    return fmt::format("{} has an empty segment (\"//\"); write one \"/\"", Quote(path));
  }
  if (path == "/_mayfly" || path.starts_with("/_mayfly/")) {
    return fmt::format("{} belongs to Mayfly's own endpoints; choose a path outside /_mayfly", Quote(path));
  }
  std::set<std::string> seen;
  std::string_view rest = path.substr(1);
  while (true) {
    const std::size_t slash = rest.find('/');
    std::string wrong = CheckSegment(rest.substr(0, slash), slash == std::string_view::npos, seen);
    if (!wrong.empty() || slash == std::string_view::npos) return wrong;
    rest.remove_prefix(slash + 1);
  }
}

std::string CheckLabelKey(std::string_view key) {
  const std::size_t slash = key.find('/');
  const bool prefix_good = slash == std::string_view::npos || IsDomain(key.substr(0, slash));
  const std::string_view name = slash == std::string_view::npos ? key : key.substr(slash + 1);
  if (prefix_good && IsQualifiedName(name)) return {};
  return fmt::format(
      "{} is not a valid key; use letters, digits, \"-\", \"_\" and \".\" (at most 63), after an optional "
      "\"domain/\"",
      Quote(key));
}

std::string CheckLabelValue(std::string_view value) {
  if (value.empty() || IsQualifiedName(value)) return {};
  return fmt::format("{} is not a valid label value; use at most 63 letters, digits, \"-\", \"_\" and \".\"",
                     Quote(value));
}

std::string CheckImage(std::string_view image) {
  if (image.size() > 1024) return fmt::format("the name has {} characters; use at most 1024", image.size());
  const bool visible = std::all_of(image.begin(), image.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (visible && !image.empty()) return {};
  return fmt::format("{} is not the name of an image", Quote(image));
}

std::string CheckConfigMapKey(std::string_view key) {
  for (const char c : key) {
    if (!IsAlphanumeric(c) && c != '-' && c != '_' && c != '.') {
      return fmt::format("{} is not a key of a ConfigMap; use letters, digits, \"-\", \"_\" and \".\"",
                         Quote(key));
    }
  }
  if (key.empty()) return "the key is empty; name the key that holds the module";
  if (key.size() > 253) return fmt::format("the key has {} characters; use at most 253", key.size());
  return {};
}

std::string CheckVariableName(std::string_view name) {
  for (std::size_t n = 0; n < name.size(); n++) {
    const char c = name[n];
    const bool good = IsAlphanumeric(c) || c == '_' || c == '-' || c == '.';
    if (!good || (n == 0 && IsDigit(c))) {
      return fmt::format(
          "{} is not a variable's name; use letters, digits and \"_\", not beginning with a digit",
          Quote(name));
    }
  }
  if (name.empty()) return "the name is empty; name the variable";
  if (name.size() > 256) return fmt::format("the name has {} characters; use at most 256", name.size());
  if (name.starts_with("LD_") || name == "GLIBC_TUNABLES" || name.starts_with("MALLOC_")) {
    return fmt::format(
        "{} steers the dynamic loader or the allocator of the worker itself and cannot be set; link the "
        "module with what it needs instead",
        Quote(name));
  }
  return {};
}

}  // namespace mayfly::op
