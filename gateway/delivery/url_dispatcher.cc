#include "gateway/delivery/url_dispatcher.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/delivery/destinations.h"
#include "gateway/delivery/json_answer.h"
#include "proto/problem.h"

namespace mayfly::gateway {
namespace {

// As senders of web hooks wait.
constexpr std::chrono::seconds kTimeout{30};

// As the HTTP binding of CloudEvents writes an attribute.
std::string EncodeHeaderValue(const std::string& value) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '"' && c != '%') {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

// The answer is one whole: nothing can be taken back.
class Posted final : public Dispatched {
 public:
  void Write(std::string, bool) override {}
  void Grant(std::uint64_t) override {}
  void Cancel() override {}
};

}  // namespace

HttpCall EventCall(const std::string& url, const v1::Event& event, std::string body) {
  HttpCall call;
  call.method = "POST";
  call.url = url;
  call.timeout = kTimeout;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) call.headers.emplace_back(absl::StrCat("ce-", name), EncodeHeaderValue(value));
  };
  add("specversion", "1.0");
  add("id", event.id());
  add("source", event.source());
  add("type", event.type());
  add("subject", event.subject());
  add("time", event.time());
  for (const v1::Pair& pair : event.attributes()) add(pair.name(), pair.value());
  const bool plain = event.data_content_type().find_first_of("\r\n") == std::string::npos;
  call.headers.emplace_back("content-type", !event.data_content_type().empty() && plain
                                                ? event.data_content_type()
                                                : "application/octet-stream");
  call.body = std::move(body);
  return call;
}

std::unique_ptr<Dispatched> UrlDispatcher::Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) {
  const std::string url = UrlOf(*request.route, request.trigger);
  if (url.empty()) {
    Reply(*sink, 404, "text/plain", "the function has no such destination any more");
    return std::make_unique<Posted>();
  }
  client_.Send(EventCall(url, request.start.event(), std::move(request.body)),
               [sink = std::move(sink)](absl::StatusOr<HttpResult> result) {
                 if (result.ok())
                   return Reply(*sink, static_cast<std::uint32_t>(result->status), {},
                                std::move(result->body));
                 v1::ResponsePart part;
                 *part.mutable_result() = v1::MakeResult(
                     v1::OUTCOME_FAILED, "gateway", "DestinationUnreachable",
                     absl::StrCat("the destination's URL was not reached: ", result.status().message()));
                 sink->OnPart(std::move(part));
               });
  return std::make_unique<Posted>();
}

}  // namespace mayfly::gateway
