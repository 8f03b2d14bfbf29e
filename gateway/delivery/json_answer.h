// Answers that a gateway gives by itself, through an AnswerSink.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gateway/delivery/dispatcher.h"

namespace mayfly::gateway {

using AnswerHeaders = std::vector<std::pair<std::string, std::string>>;

// A whole answer; `content_type` may be "".
void Reply(AnswerSink& sink, std::uint32_t status, const std::string& content_type, std::string body,
           const AnswerHeaders& headers = {});

// {"component": "gateway", "reason": …, "message": …}, with Retry-After where coming again helps: 429 and 503.
void ReplyProblem(AnswerSink& sink, std::uint32_t status, const std::string& reason, std::string message);

}  // namespace mayfly::gateway
