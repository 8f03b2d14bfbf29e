#include "gateway/activation/invocation.h"

#include <chrono>
#include <utility>

#include "gateway/activation/function_activator.h"
#include "proto/problem.h"

namespace mayfly::gateway {
namespace {

constexpr std::uint32_t kDefaultTimeoutMs = 60'000;

std::chrono::milliseconds TimeoutOf(const DispatchRequest& request) {
  if (request.start.timeout_ms() != 0) return std::chrono::milliseconds(request.start.timeout_ms());
  if (request.route && request.route->timeout_ms() != 0) {
    return std::chrono::milliseconds(request.route->timeout_ms());
  }
  return std::chrono::milliseconds(kDefaultTimeoutMs);
}

std::string Encoded(DispatchRequest& request) {
  request.start.clear_timeout_ms();
  if (request.start.attempt() == 0) request.start.set_attempt(1);
  if (request.start.body_size() == 0 && request.body_complete) {
    request.start.set_body_size(request.body.size());
  }
  return request.start.SerializeAsString();
}

}  // namespace

Invocation::Invocation(std::shared_ptr<FunctionActivator> of, DispatchRequest request,
                       std::shared_ptr<AnswerSink> to, base::MonotonicTime now)
    : function(std::move(of)),
      begun(now),
      deadline(now + TimeoutOf(request)),
      trigger(std::move(request.trigger)),
      start(Encoded(request)),
      body(std::move(request.body)),
      body_complete(request.body_complete),
      sink(std::move(to)) {}

void Invocation::OnDeadline() { function->OnDeadline(shared_from_this()); }

v1::ResponsePart EndingPart(v1::Outcome outcome, std::string_view reason, std::string message) {
  v1::ResponsePart part;
  *part.mutable_result() = v1::MakeResult(outcome, "gateway", reason, std::move(message));
  return part;
}

}  // namespace mayfly::gateway
