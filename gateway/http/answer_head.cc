#include "gateway/http/answer_head.h"

#include <fmt/format.h>

#include <iterator>

#include "gateway/http/request_head.h"

namespace mayfly::gateway {
namespace {

std::string_view Phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

// Names that a function's answer cannot set. Compared in any case.
bool IsOurs(std::string_view name) {
  switch (name.size()) {
    case 2:
      return EqualsIgnoreCase(name, "te");
    case 4:
      return EqualsIgnoreCase(name, "date");
    case 6:
      return EqualsIgnoreCase(name, "server");
    case 7:
      return EqualsIgnoreCase(name, "trailer") || EqualsIgnoreCase(name, "upgrade");
    case 10:
      return EqualsIgnoreCase(name, "connection") || EqualsIgnoreCase(name, "keep-alive");
    case 12:
      return EqualsIgnoreCase(name, "x-request-id");
    case 16:
      return EqualsIgnoreCase(name, "proxy-connection");
    case 17:
      return EqualsIgnoreCase(name, "transfer-encoding");
    default:
      return false;
  }
}

bool IsReserved(std::string_view name) {
  return IsOurs(name) || (name.size() > 7 && EqualsIgnoreCase(name.substr(0, 7), "mayfly-"));
}

bool IsContentLength(std::string_view name) {
  return name.size() == 14 && EqualsIgnoreCase(name, "content-length");
}

std::optional<std::uint64_t> ReadLength(std::string_view text) {
  constexpr std::size_t kMostDigits = 18;
  if (text.empty() || text.size() > kMostDigits) return std::nullopt;
  std::uint64_t length = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return length;
}

}  // namespace

std::string CheckAnswerHead(const v1::ResponseHead& head) {
  constexpr std::size_t kMostBytes = 64 * 1024;
  if (head.status() < 200 || head.status() > 599) {
    return fmt::format("the function answered with status {}, which is not within 200 and 599",
                       head.status());
  }
  std::size_t bytes = 0;
  bool has_length = false;
  for (const v1::Pair& header : head.headers()) {
    bytes += header.name().size() + header.value().size();
    if (!IsToken(header.name())) return "the function answered with a header whose name is not a token";
    if (!IsFieldValue(header.value())) {
      return fmt::format("the function answered with header {}, whose value has a control character",
                         header.name());
    }
    if (!IsContentLength(header.name())) continue;
    if (has_length || !ReadLength(header.value())) {
      return "the function answered with a Content-Length that is not one number";
    }
    has_length = true;
  }
  if (bytes > kMostBytes) return "the function answered with more than 64 KiB of headers";
  return {};
}

void AppendStatusLine(int status, std::string* out) {
  if (status == 200) {
    out->append("HTTP/1.1 200 OK\r\n");
    return;
  }
  fmt::format_to(std::back_inserter(*out), "HTTP/1.1 {} {}\r\n", status, Phrase(status));
}

void AppendHeader(std::string_view name, std::string_view value, std::string* out) {
  out->append(name).append(": ").append(value).append("\r\n");
}

void AppendNumberHeader(std::string_view name, std::uint64_t value, std::string* out) {
  const fmt::format_int text(value);
  AppendHeader(name, {text.data(), text.size()}, out);
}

std::optional<std::uint64_t> AppendFunctionHeaders(const v1::ResponseHead& head, std::string* out) {
  std::optional<std::uint64_t> length;
  for (const v1::Pair& header : head.headers()) {
    if (IsContentLength(header.name())) {
      length = ReadLength(header.value());
    } else if (!IsReserved(header.name())) {
      AppendHeader(header.name(), header.value(), out);
    }
  }
  return length;
}

void AppendMetering(const v1::Metering& metering, std::string* out) {
  fmt::format_to(std::back_inserter(*out),
                 "Mayfly-Wall-Ms: {}.{:03}\r\nMayfly-Cpu-Ms: {}.{:03}\r\nMayfly-Peak-Rss-Bytes: "
                 "{}\r\nMayfly-Cold: {}\r\n",
                 metering.wall_us() / 1000, metering.wall_us() % 1000, metering.cpu_us() / 1000,
                 metering.cpu_us() % 1000, metering.peak_rss_bytes(), metering.cold());
}

bool HasNoBody(int status) { return status == 204 || status == 304; }

}  // namespace mayfly::gateway
