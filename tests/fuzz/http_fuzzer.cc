// Feeds any bytes to what reads requests: head scanner, head parser, body decoder, path and CloudEvents. Checked is that
// nothing is read out of bounds (sanitizers), and that bytes mean the same in one piece as one by one.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/http/body_decoder.h"
#include "gateway/http/cloud_event.h"
#include "gateway/http/request_event.h"
#include "gateway/http/request_head.h"
#include "gateway/http/request_ids.h"
#include "gateway/routing/path.h"

namespace {

using namespace mayfly;
using namespace mayfly::gateway;

void Require(bool holds) {
  if (!holds) std::abort();
}

struct Scanned {
  std::size_t length = 0;
  int status = 0;
};

Scanned Scan(std::string_view bytes, std::size_t step) {
  const HttpLimits limits;
  HeadScanner scanner;
  Refusal refusal;
  Scanned result;
  for (std::size_t size = std::min(step, bytes.size());; size = std::min(size + step, bytes.size())) {
    result.length = scanner.Scan(bytes.substr(0, size), limits, &refusal);
    result.status = refusal.status;
    if (result.length > 0 || refusal || size == bytes.size()) return result;
  }
}

struct Decoded {
  std::string body;
  std::size_t taken = 0;
  BodyDecoder::Progress progress = BodyDecoder::Progress::kMore;
};

Decoded Decode(const RequestHead& head, std::string_view bytes, std::size_t step) {
  const HttpLimits limits;
  BodyDecoder decoder;
  decoder.Start(head, 4096);
  Decoded result;
  while (result.progress == BodyDecoder::Progress::kMore && result.taken < bytes.size()) {
    std::string_view input = bytes.substr(result.taken, step);
    const std::size_t before = input.size();
    result.progress = decoder.Decode(&input, limits, 8192, &result.body);
    result.taken += before - input.size();
    if (before == input.size() && result.progress == BodyDecoder::Progress::kMore) break;
  }
  Require(result.body.size() <= 4096);
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static IdSource ids;
  const std::string input(reinterpret_cast<const char*>(data), size);
  const Scanned whole = Scan(input, input.size() + 1);
  const Scanned single = Scan(input, 1);
  // Refused or found alike, however it came; a refusal that is due to a later byte may be told by an earlier one.
  Require(whole.length == single.length);
  Require((whole.status != 0) == (single.status != 0));

  RequestPath path;
  if (path.Parse(input).ok()) {
    for (const std::string_view segment : path.segments()) {
      Require(!segment.empty() && segment != "." && segment != ".." &&
              segment.find('/') == std::string_view::npos && segment.find('\0') == std::string_view::npos);
    }
  }
  RequestHead chunked;
  chunked.body = RequestHead::Body::kChunked;
  const Decoded at_once = Decode(chunked, input, input.size() + 1);
  const Decoded bytewise = Decode(chunked, input, 1);
  Require(at_once.progress == bytewise.progress && at_once.taken == bytewise.taken);
  if (at_once.progress == BodyDecoder::Progress::kDone) Require(at_once.body == bytewise.body);

  v1::Event structured;
  std::string event_body = input;
  TakeStructuredEvent(&event_body, &structured);

  if (whole.length == 0) return 0;
  std::string head_bytes = input.substr(0, whole.length);
  RequestHead head;
  if (ParseHead(head_bytes.data(), head_bytes.size(), HttpLimits(), &head)) return 0;
  Require(IsToken(head.method));
  for (const HeaderField& field : head.headers) Require(IsToken(field.name) && IsFieldValue(field.value));
  EventMode mode;
  if (FindEventMode(head, &mode)) return 0;
  v1::Event event;
  const RequestOrigin origin{"127.0.0.1", "id", "2026-01-01T00:00:00.000Z", 0};
  if (FillEvent(head, RouteMatch{}, MakeTraceContext(head, ids), origin, mode, &event)) return 0;
  // What is sent on must be understood: protobuf strings are UTF-8.
  v1::Event copy;
  Require(copy.ParseFromString(event.SerializeAsString()));
  return 0;
}
