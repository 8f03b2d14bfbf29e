#include "operator/reconcilers/lease_publisher.h"

#include "base/thread.h"

namespace mayfly::op {

void LeasePublisher::Start() {
  thread_ = base::StartThread("op-leases", [this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const TriggerLeases::News news = leases_.AwaitNews(stop);
      if (stop.stop_requested() || (leads_ && !leads_())) continue;
      for (const std::string& function : news.functions) routes_.PutOwners(function);
      for (const auto& [gateway, term] : news.terms) link_.Answer(gateway, leases_.epoch(), term);
    }
  });
}

void LeasePublisher::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace mayfly::op
