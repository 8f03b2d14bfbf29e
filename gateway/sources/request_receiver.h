// A RequestReceiver takes the HTTP requests that bring the events of some kind of source, and answers them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "gateway/sources/trigger_key.h"
#include "gateway/sources/webhook/webhook_request.h"

namespace mayfly::gateway {

struct ReceivedRequest {
  WebhookRequest request;
  // Called once, on any thread; must not block.
  std::function<void(WebhookAnswer)> answer;
  // Set once nobody waits for the answer any more.
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
};

class RequestReceiver {
 public:
  virtual ~RequestReceiver() = default;

  // Thread-safe. A request for a trigger whose source is not there yet, or is being made anew, waits for it.
  virtual void Receive(const TriggerKey& trigger, ReceivedRequest request) = 0;
};

// {"component": "gateway", "reason": …, "message": …}, as every error of a gateway.
WebhookAnswer ProblemAnswer(int status, const std::string& reason, const std::string& message);

}  // namespace mayfly::gateway
