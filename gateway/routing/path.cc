#include "gateway/routing/path.h"

#include <fmt/format.h>
#include <algorithm>

#include "base/hex.h"

namespace mayfly::gateway {
namespace {

bool IsPlain(std::string_view raw) {
  char before = 0;
  for (const char c : raw) {
    // Whatever needs a second look: encodings, "//", a segment that begins with a dot, refused bytes.
    if (c == '%' || c == '\\' || c == '#' || c == '?' || static_cast<unsigned char>(c) <= ' ' || c == 0x7F)
      return false;
    if ((c == '/' || c == '.') && before == '/') return false;
    before = c;
  }
  return true;
}

// Appends `raw` decoded to `*out`, which must have room for it.
absl::Status Decode(std::string_view raw, std::string* out) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(raw[i]);
    if (c == '%') {
      const int high = i + 1 < raw.size() ? base::HexDigit(raw[i + 1]) : -1;
      const int low = i + 2 < raw.size() ? base::HexDigit(raw[i + 2]) : -1;
      if (high < 0 || low < 0)
        return absl::InvalidArgumentError("the path has a % that two hexadecimal digits do not follow");
      c = static_cast<unsigned char>(high * 16 + low);
      if (c == '/' || c == '\\') {
        return absl::InvalidArgumentError("the path has an encoded slash (%2F or %5C), which is refused");
      }
      if (c == 0) return absl::InvalidArgumentError("the path has an encoded NUL (%00), which is refused");
      i += 2;
    } else if (c <= ' ' || c == 0x7F || c == '\\' || c == '#' || c == '?') {
      return absl::InvalidArgumentError("the path has a character that must be percent-encoded");
    }
    out->push_back(static_cast<char>(c));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RequestPath::Parse(std::string_view raw) {
  segments_.clear();
  trailing_slash_ = false;
  if (raw.empty() || raw.front() != '/') return absl::InvalidArgumentError("the path does not begin with /");
  std::size_t at = 1;
  if (IsPlain(raw)) {
    while (at < raw.size()) {
      const std::size_t end = std::min(raw.find('/', at), raw.size());
      segments_.push_back(raw.substr(at, end - at));
      at = end + 1;
    }
    trailing_slash_ = raw.size() > 1 && raw.back() == '/';
    return absl::OkStatus();
  }
  decoded_.clear();
  decoded_.reserve(raw.size());  // Decoding only shrinks, so that views into it stay.
  while (at <= raw.size()) {
    const std::size_t end = std::min(raw.find('/', at), raw.size());
    const std::size_t start = decoded_.size();
    if (absl::Status status = Decode(raw.substr(at, end - at), &decoded_); !status.ok()) return status;
    const std::string_view segment = std::string_view(decoded_).substr(start);
    at = end + 1;
    trailing_slash_ = segment.empty() || segment == "." || segment == "..";
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      segments_.push_back(segment);
    } else if (segments_.empty()) {
      return absl::InvalidArgumentError("the path leads above its root (..)");
    } else {
      segments_.pop_back();
    }
  }
  trailing_slash_ = trailing_slash_ && !segments_.empty();
  return absl::OkStatus();
}

std::string RequestPath::Rest(std::size_t first) const {
  std::string rest;
  for (std::size_t i = first; i < segments_.size(); ++i) {
    if (i > first) rest += '/';
    rest.append(segments_[i]);
  }
  if (trailing_slash_ && first < segments_.size()) rest += '/';
  return rest;
}

std::vector<std::string> PathPattern::ParameterNames() const {
  std::vector<std::string> names;
  for (const Segment& segment : segments) {
    if (segment.kind != Kind::kLiteral) names.push_back(segment.text);
  }
  return names;
}

std::string PathPattern::Shape() const {
  std::string shape;
  for (const Segment& segment : segments) {
    shape += fmt::format("/{}", segment.kind == Kind::kLiteral     ? std::string_view(segment.text)
                                : segment.kind == Kind::kParameter ? "{}"
                                                                   : "{...}");
  }
  return shape.empty() ? "/" : shape;
}

absl::StatusOr<PathPattern> ParsePathPattern(std::string_view text) {
  constexpr std::size_t kLongest = 2048;
  if (text.empty() || text.front() != '/')
    return absl::InvalidArgumentError(fmt::format("path \"{}\" does not begin with /", text));
  if (text.size() > kLongest) return absl::InvalidArgumentError("the path is longer than 2048 bytes");
  PathPattern pattern;
  text.remove_prefix(1);
  if (text.size() > 1 && text.back() == '/') text.remove_suffix(1);
  if (text.empty()) return pattern;
  std::vector<std::string> names;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('/', at), text.size());
    const std::string_view part = text.substr(at, end - at);
    at = end + 1;
    if (!pattern.segments.empty() && pattern.segments.back().kind == PathPattern::Kind::kRest) {
      return absl::InvalidArgumentError("{rest...} must be the last segment of a path");
    }
    if (part.empty()) return absl::InvalidArgumentError("the path has an empty segment (//)");
    if (part.front() == '{' && part.back() == '}' && part.size() > 2) {
      std::string_view name = part.substr(1, part.size() - 2);
      const bool rest = name.size() > 3 && name.substr(name.size() - 3) == "...";
      if (rest) name.remove_suffix(3);
      const bool word = std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
      });
      if (!word) {
        return absl::InvalidArgumentError(
            fmt::format("parameter \"{}\" must be named with letters, digits, - and _", part));
      }
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        return absl::InvalidArgumentError(fmt::format("parameter {{{}}} comes twice", name));
      }
      names.emplace_back(name);
      pattern.segments.push_back(
          {rest ? PathPattern::Kind::kRest : PathPattern::Kind::kParameter, std::string(name)});
      continue;
    }
    if (part.find_first_of("{}") != std::string_view::npos) {
      return absl::InvalidArgumentError(
          fmt::format("segment \"{}\": a {{parameter}} must be a whole segment", part));
    }
    std::string literal;
    if (absl::Status status = Decode(part, &literal); !status.ok()) return status;
    if (literal.find_first_of("{}") != std::string::npos) {
      return absl::InvalidArgumentError(
          fmt::format("segment \"{}\": braces cannot be part of a literal", part));
    }
    if (literal == "." || literal == "..")
      return absl::InvalidArgumentError("the path has a . or .. segment");
    pattern.segments.push_back({PathPattern::Kind::kLiteral, std::move(literal)});
  }
  return pattern;
}

}  // namespace mayfly::gateway
