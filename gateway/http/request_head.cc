#include "gateway/http/request_head.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace mayfly::gateway {
namespace {

enum CharClass : std::uint8_t {
  kTokenChar = 1,
  kValueChar = 2,
  kTargetChar = 4,
  kHostChar = 8,
  kDigitChar = 16
};

constexpr std::array<std::uint8_t, 256> MakeClasses() {
  std::array<std::uint8_t, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    const bool digit = c >= '0' && c <= '9';
    const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    std::uint8_t& bits = classes[static_cast<std::size_t>(c)];
    if (digit || alpha ||
        std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos) {
      bits |= kTokenChar;
    }
    if (c == '\t' || (c >= ' ' && c != 0x7F)) bits |= kValueChar;
    if (c > ' ' && c < 0x7F && c != '#') bits |= kTargetChar;
    if (digit || alpha || c == '-' || c == '.' || c == '_') bits |= kHostChar;
    if (digit) bits |= kDigitChar;
  }
  return classes;
}
constexpr std::array<std::uint8_t, 256> kClasses = MakeClasses();

bool Is(char c, CharClass wanted) { return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0; }

bool All(std::string_view text, CharClass wanted) {
  std::uint8_t bits = wanted;
  for (const char c : text) bits &= kClasses[static_cast<unsigned char>(c)];
  return bits != 0;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls `visit` with each element of a comma-separated list.
template <typename Visit>
void ForEachElement(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view element = Trim(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (!element.empty()) visit(element);
  }
}

Refusal Bad(std::string_view reason, std::string message) { return Refusal{400, reason, std::move(message)}; }

// "host", "host:80" or "[::1]:80", with nothing that could be read in two ways.
bool ReadAuthority(std::string_view authority, std::string_view* host) {
  std::size_t end = 0;
  if (!authority.empty() && authority.front() == '[') {
    end = authority.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    for (const char c : authority.substr(1, end - 1)) {
      if (!(Is(c, kDigitChar) || (c >= 'a' && c <= 'f') || c == ':' || c == '.')) return false;
    }
    ++end;
  } else {
    while (end < authority.size() && Is(authority[end], kHostChar)) ++end;
  }
  if (end == 0) return false;
  *host = authority.substr(0, end);
  std::string_view port = authority.substr(end);
  if (port.empty()) return true;
  if (port.front() != ':') return false;
  port.remove_prefix(1);
  if (port.empty() || port.size() > 5 || !All(port, kDigitChar)) return false;
  int number = 0;
  for (const char c : port) number = number * 10 + (c - '0');
  return number <= 65535;
}

// Whether a header of this name concerns one connection only.
bool IsHopByHop(std::string_view name) {
  switch (name.size()) {
    case 2:
      return name == "te";
    case 6:
      return name == "expect";
    case 7:
      return name == "trailer" || name == "upgrade";
    case 10:
      return name == "connection" || name == "keep-alive";
    case 14:
      return name == "http2-settings";
    case 16:
      return name == "proxy-connection";
    case 17:
      return name == "transfer-encoding";
    case 18:
      return name == "proxy-authenticate";
    case 19:
      return name == "proxy-authorization";
    default:
      return false;
  }
}

Refusal ReadVersion(std::string_view version, RequestHead* head) {
  if (version == "HTTP/1.1") {
    head->minor_version = 1;
    return {};
  }
  if (version == "HTTP/1.0") {
    head->minor_version = 0;
    return {};
  }
  const bool well_formed = version.size() == 8 && version.substr(0, 5) == "HTTP/" &&
                           Is(version[5], kDigitChar) && version[6] == '.' && Is(version[7], kDigitChar);
  if (well_formed) return Refusal{505, "VersionNotSupported", "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  return Bad("BadRequestLine", "the request line does not end with HTTP/1.1");
}

// REQUIRES: `line` is within the buffer at `base`, which may be written.
Refusal ReadRequestLine(std::string_view line, RequestHead* head, char* base,
                        std::string_view* target_authority) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return Bad("BadRequestLine", "the request line is not METHOD, space, target, space, version");
  }
  if (Refusal refusal = ReadVersion(line.substr(last + 1), head)) return refusal;
  head->method = line.substr(0, first);
  std::string_view target = line.substr(first + 1, last - first - 1);
  constexpr std::size_t kLongestMethod = 32;
  if (head->method.empty() || head->method.size() > kLongestMethod || !All(head->method, kTokenChar)) {
    return Bad("BadRequestLine", "the method is not a token");
  }
  if (target.empty() || !All(target, kTargetChar)) {
    return Bad("BadTarget", "the target is empty or has characters that must be percent-encoded");
  }
  if (head->method == "CONNECT" || head->method == "TRACE") {
    return Refusal{501, "MethodNotImplemented", "CONNECT and TRACE are not served here"};
  }
  if (target.size() > 7 && EqualsIgnoreCase(target.substr(0, 7), "http://")) {
    target.remove_prefix(7);
    const std::size_t end = std::min(target.find_first_of("/?"), target.size());
    if (end == 0) return Bad("BadTarget", "the target names no host");
    *target_authority = target.substr(0, end);
    for (const char& c : *target_authority) {
      char& writable = base[&c - base];
      writable = Lower(writable);
    }
    target.remove_prefix(end);
    if (target.empty() || target.front() == '?') {
      // No path is the root's.
      head->path = "/";
      if (!target.empty()) head->query = target.substr(1);
      return {};
    }
  }
  if (target == "*" && head->method == "OPTIONS") {
    head->path = target;
    return {};
  }
  if (target.front() != '/') return Bad("BadTarget", "the target is neither /path nor http://host/path");
  const std::size_t question = target.find('?');
  head->path = target.substr(0, question);
  head->query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  return {};
}

// What the headers say together, gathered while they are read one by one.
struct Framing {
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
  bool chunked = false;
  bool close = false;
  bool keep_alive = false;
  bool names_others = false;
};

Refusal ReadLength(std::string_view value, RequestHead* head) {
  constexpr std::size_t kMostDigits = 18;
  if (value.empty() || value.size() > kMostDigits || !All(value, kDigitChar)) {
    return Bad("BadContentLength", "Content-Length is not a number of bytes in digits");
  }
  for (const char c : value)
    head->content_length = head->content_length * 10 + static_cast<std::uint64_t>(c - '0');
  return {};
}

Refusal ReadConnection(std::string_view value, Framing* framing) {
  Refusal refusal;
  ForEachElement(value, [&](std::string_view element) {
    if (EqualsIgnoreCase(element, "close")) {
      framing->close = true;
    } else if (EqualsIgnoreCase(element, "keep-alive")) {
      framing->keep_alive = true;
    } else if (EqualsIgnoreCase(element, "content-length") ||
               EqualsIgnoreCase(element, "transfer-encoding") || EqualsIgnoreCase(element, "host")) {
      refusal = Bad("BadConnection", "Connection names a header that every hop needs");
    } else {
      framing->names_others = true;
    }
  });
  return refusal;
}

Refusal ReadKnownHeader(const HeaderField& field, RequestHead* head, Framing* framing) {
  switch (field.name.size()) {
    case 4:
      if (field.name == "host" && ++framing->hosts == 1) head->authority = field.value;
      break;
    case 6:
      if (field.name != "expect") break;
      if (!EqualsIgnoreCase(field.value, "100-continue")) {
        return Refusal{417, "ExpectationFailed", "the only expectation met here is 100-continue"};
      }
      head->expect_continue = head->minor_version >= 1;
      break;
    case 10:
      if (field.name == "connection") return ReadConnection(field.value, framing);
      break;
    case 14:
      if (field.name == "content-length" && ++framing->lengths == 1) return ReadLength(field.value, head);
      break;
    case 17:
      if (field.name != "transfer-encoding") break;
      ++framing->encodings;
      framing->chunked = EqualsIgnoreCase(field.value, "chunked");
      break;
    default:
      break;
  }
  return {};
}

Refusal CheckFraming(const Framing& framing, RequestHead* head) {
  if (framing.lengths > 1) return Bad("BadContentLength", "Content-Length comes more than once");
  if (framing.encodings > 0) {
    if (framing.lengths > 0) {
      return Bad("AmbiguousLength", "Content-Length and Transfer-Encoding must not come together");
    }
    if (framing.encodings > 1 || !framing.chunked) {
      return Bad("BadTransferEncoding", "Transfer-Encoding must be chunked and nothing else");
    }
    if (head->minor_version == 0) return Bad("BadTransferEncoding", "HTTP/1.0 has no Transfer-Encoding");
    head->body = RequestHead::Body::kChunked;
  } else if (head->content_length > 0) {
    head->body = RequestHead::Body::kLength;
  }
  head->keep_alive = !framing.close && (head->minor_version >= 1 || framing.keep_alive);
  return {};
}

Refusal CheckHost(const Framing& framing, std::string_view target_authority, char* base, RequestHead* head) {
  if (framing.hosts > 1) return Bad("BadHost", "Host comes more than once");
  if (framing.hosts == 0) {
    if (head->minor_version >= 1) return Bad("BadHost", "Host is missing");
    head->authority = target_authority;
    if (target_authority.empty()) return {};
  }
  for (const char& c : head->authority) {
    char& writable = base[&c - base];
    writable = Lower(writable);
  }
  if (!ReadAuthority(head->authority, &head->host)) return Bad("BadHost", "Host is not a host name and port");
  if (!target_authority.empty() && target_authority != head->authority) {
    return Bad("BadHost", "Host differs from the host in the request's target");
  }
  return {};
}

void MarkNamedByConnection(RequestHead* head) {
  for (const HeaderField& connection : head->headers) {
    if (connection.name != "connection") continue;
    ForEachElement(connection.value, [&](std::string_view element) {
      for (HeaderField& field : head->headers) {
        if (EqualsIgnoreCase(element, field.name)) field.hop_by_hop = true;
      }
    });
  }
}

}  // namespace

bool IsToken(std::string_view text) { return !text.empty() && All(text, kTokenChar); }

bool IsFieldValue(std::string_view text) { return All(text, kValueChar); }

bool EqualsIgnoreCase(std::string_view a, std::string_view lower_case) {
  if (a.size() != lower_case.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != lower_case[i]) return false;
  }
  return true;
}

std::string_view RequestHead::Header(std::string_view name) const {
  for (const HeaderField& field : headers) {
    if (field.name == name) return field.value;
  }
  return {};
}

void RequestHead::Clear() {
  headers.clear();
  method = path = query = authority = host = {};
  minor_version = 1;
  body = Body::kNone;
  content_length = 0;
  keep_alive = true;
  expect_continue = false;
}

std::size_t HeadScanner::Scan(std::string_view bytes, const HttpLimits& limits, Refusal* refusal) {
  const auto too_long = [&] {
    *refusal = lines_ == 0 ? Refusal{414, "RequestLineTooLong", "the request line is too long"}
                           : Refusal{431, "HeadersTooLarge", "the headers are too large"};
    return std::size_t{0};
  };
  while (looked_at_ < bytes.size()) {
    const void* found = std::memchr(bytes.data() + looked_at_, '\n', bytes.size() - looked_at_);
    if (found == nullptr) {
      looked_at_ = bytes.size();
      break;
    }
    const std::size_t line_feed = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
    looked_at_ = line_feed + 1;
    if (line_feed == line_start_ || bytes[line_feed - 1] != '\r') {
      *refusal = Bad("BareLineFeed", "a line ends with a line feed alone");
      return 0;
    }
    const std::size_t length = line_feed - 1 - line_start_;
    if (length == 0) {
      if (lines_ > 0) return looked_at_ > limits.head_bytes ? too_long() : looked_at_;
      *refusal = Bad("BadRequestLine", "the request begins with an empty line");
      return 0;
    }
    if (lines_ == 0) {
      if (length > limits.request_line_bytes) return too_long();
      const std::string_view line = bytes.substr(line_start_, length);
      if (line.size() < 9 || line[line.size() - 9] != ' ' || line.substr(line.size() - 8, 5) != "HTTP/") {
        *refusal = Bad("BadRequestLine", "the request line does not end with HTTP/1.1");
        return 0;
      }
    }
    if (++lines_ > limits.header_count + 1) return too_long();
    line_start_ = looked_at_;
  }
  if (lines_ == 0 && bytes.size() - line_start_ > limits.request_line_bytes + 2) return too_long();
  if (bytes.size() > limits.head_bytes) return too_long();
  return 0;
}

Refusal ParseHead(char* bytes, std::size_t size, const HttpLimits& limits, RequestHead* head) {
  head->Clear();
  const std::string_view text(bytes, size);
  std::size_t at = text.find("\r\n");
  if (at == std::string_view::npos) return Bad("BadRequestLine", "the request has no line");
  std::string_view target_authority;
  if (Refusal refusal = ReadRequestLine(text.substr(0, at), head, bytes, &target_authority)) return refusal;
  Framing framing;
  for (at += 2; at < size;) {
    const std::size_t end = text.find("\r\n", at);
    if (end == std::string_view::npos) return Bad("BadHeader", "a header does not end");
    if (end == at) {
      if (end + 2 != size) return Bad("BadHeader", "an empty line stands before the end of the headers");
      break;
    }
    std::size_t colon = at;
    while (colon < end && Is(bytes[colon], kTokenChar) && bytes[colon] != '_') {
      bytes[colon] = Lower(bytes[colon]);
      ++colon;
    }
    if (colon == at || colon == end || bytes[colon] != ':') {
      return Bad("BadHeader", bytes[at] == ' ' || bytes[at] == '\t'
                                  ? "a header is folded over two lines"
                                  : "a header's name is not letters, digits and - followed by a colon");
    }
    HeaderField field{text.substr(at, colon - at), Trim(text.substr(colon + 1, end - colon - 1)), false};
    if (!IsFieldValue(field.value)) return Bad("BadHeader", "a header's value has a control character");
    if (head->headers.size() >= limits.header_count) {
      return Refusal{431, "HeadersTooLarge", "there are too many headers"};
    }
    field.hop_by_hop = IsHopByHop(field.name);
    if (Refusal refusal = ReadKnownHeader(field, head, &framing)) return refusal;
    head->headers.push_back(field);
    at = end + 2;
  }
  if (Refusal refusal = CheckHost(framing, target_authority, bytes, head)) return refusal;
  if (Refusal refusal = CheckFraming(framing, head)) return refusal;
  if (framing.names_others) MarkNamedByConnection(head);
  return {};
}

}  // namespace mayfly::gateway
