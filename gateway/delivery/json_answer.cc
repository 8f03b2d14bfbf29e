#include "gateway/delivery/json_answer.h"

#include <nlohmann/json.hpp>

namespace mayfly::gateway {

void Reply(AnswerSink& sink, std::uint32_t status, const std::string& content_type, std::string body,
           const AnswerHeaders& headers) {
  v1::ResponsePart part;
  part.mutable_head()->set_status(status);
  const auto add = [&](const std::string& name, const std::string& value) {
    v1::Pair& pair = *part.mutable_head()->add_headers();
    pair.set_name(name);
    pair.set_value(value);
  };
  if (!content_type.empty()) add("content-type", content_type);
  for (const auto& [name, value] : headers) add(name, value);
  part.set_data(std::move(body));
  part.mutable_result()->set_outcome(v1::OUTCOME_OK);
  sink.OnPart(std::move(part));
}

void ReplyProblem(AnswerSink& sink, std::uint32_t status, const std::string& reason, std::string message) {
  using Json = nlohmann::ordered_json;
  AnswerHeaders headers;
  if (status == 429 || status == 503) headers.emplace_back("retry-after", "1");
  const Json json = {{"component", "gateway"}, {"reason", reason}, {"message", std::move(message)}};
  Reply(sink, status, "application/json", json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
        headers);
}

}  // namespace mayfly::gateway
