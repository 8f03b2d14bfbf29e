// The head of an HTTP/1.1 request, read strictly.
//
// There is one reader of heads and it mends nothing: wherever two servers could read a head in two ways (RFC
// 9112, sections 2.2, 3, 5 and 6), the request is refused, so that no proxy before this gateway and no
// function behind it can be made to see another request than it saw. The head is read once, in place, into
// views.
//
// Refused with 400: bare LF or CR, control bytes, folded lines, space around a header's name, names that are
// no token or have "_", a request line with other than two spaces, HTTP/0.9, a target that is neither /path
// nor http://host/path, a Host that is missing, doubled, malformed or differs from the target's,
// Content-Length that is doubled or not digits, Content-Length with Transfer-Encoding, Transfer-Encoding
// other than "chunked" or on HTTP/1.0, and Connection that names a framing header. 414, 431, 417, 501 and 505
// as one expects.
//
// Functions here are pure; a HeadScanner belongs to one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "gateway/http/http_options.h"
#include "gateway/http/refusal.h"

namespace mayfly::gateway {

// Finds the end of a head in bytes that come in pieces, and refuses what is too long before it is whole.
class HeadScanner {
 public:
  // Looks at `bytes`, which begin where the head begins and hold what was looked at before. Returns the
  // length of the head with its empty line, or 0 if it is not whole yet or `*refusal` is set.
  std::size_t Scan(std::string_view bytes, const HttpLimits& limits, Refusal* refusal);
  // Makes ready for the next head.
  void Reset() { *this = HeadScanner(); }

 private:
  std::size_t line_start_ = 0;
  std::size_t looked_at_ = 0;
  std::size_t lines_ = 0;
};

struct HeaderField {
  // In lower case.
  std::string_view name;
  std::string_view value;
  // Whether it concerns this connection only and is not passed on.
  bool hop_by_hop = false;
};

struct RequestHead {
  enum class Body { kNone, kLength, kChunked };

  std::string_view method;
  // As sent, without the query.
  std::string_view path;
  std::string_view query;
  // In lower case: with its port as sent, and without.
  std::string_view authority;
  std::string_view host;
  int minor_version = 1;
  absl::InlinedVector<HeaderField, 32> headers;

  Body body = Body::kNone;
  std::uint64_t content_length = 0;
  bool keep_alive = true;
  bool expect_continue = false;

  // The value of the first header `name`, or "".
  std::string_view Header(std::string_view name) const;
  void Clear();
};

// Reads `size` bytes at `bytes`, a whole head as HeadScanner found it, into `*head`, which keeps views into
// them. Names and the host are brought to lower case in place.
Refusal ParseHead(char* bytes, std::size_t size, const HttpLimits& limits, RequestHead* head);

// Whether `text` is a token of RFC 9110.
bool IsToken(std::string_view text);
// Whether `text` can be a header's value: no control bytes but tabs.
bool IsFieldValue(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view lower_case);

}  // namespace mayfly::gateway
