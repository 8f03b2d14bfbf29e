// What the Activator's tests share: an activator, fake replicas in a folder of their own, and short words.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/testing/temp_dir.h"
#include "gateway/activation/activator.h"
#include "gateway/activation/recording_sink.h"
#include "gateway/delivery/fake_replica.h"

namespace mayfly::gateway {

class ActivatorTest : public ::testing::Test {
 protected:
  ActivatorTest() {
    route_.set_function("test/echo");
    route_.set_timeout_ms(10'000);
    activator_ = std::make_unique<Activator>(
        ActivatorOptions{.gateway = "gateway-0",
                         .credentials = nullptr,
                         .report = [this](const v1::GatewayReport& report) { OnReport(report); }},
        clock_, metrics_);
  }
  ~ActivatorTest() override {
    activator_.reset();
    replicas_.clear();
  }

  // A call with what shows its progress.
  struct Call {
    std::shared_ptr<RecordingSink> sink;
    std::unique_ptr<Dispatched> handle;
  };

  FakeReplica& AddReplica(std::uint32_t slots) {
    replicas_.push_back(std::make_unique<FakeReplica>(
        folder_.path() + "/" + std::to_string(replicas_.size()) + ".sock", slots));
    return *replicas_.back();
  }

  // Puts `replica` in force beside the others, before it says which revision it has.
  absl::Status RouteToComing(const FakeReplica& replica) {
    v1::Endpoint& endpoint = *route_.add_endpoints();
    endpoint.set_replica("coming");
    endpoint.set_address(replica.address());
    endpoint.set_revision("r1");
    return Apply();
  }

  // Puts exactly these replicas (by number) in force.
  absl::Status Route(std::initializer_list<std::size_t> numbers) {
    route_.clear_endpoints();
    for (const std::size_t number : numbers) {
      v1::Endpoint& endpoint = *route_.add_endpoints();
      endpoint.set_replica("replica-" + std::to_string(number));
      endpoint.set_address("unix:" + folder_.path() + "/" + std::to_string(number) + ".sock");
      endpoint.set_slots(1);
    }
    return Apply();
  }
  absl::Status Apply() {
    v1::RouteUpdate update;
    update.set_version(++version_);
    *update.add_upsert() = route_;
    return activator_->Apply(update);
  }
  // Exactly these stand by.
  absl::Status StandBy(const std::vector<FakeReplica*>& replicas) {
    v1::RouteUpdate update;
    update.set_version(++version_);
    update.mutable_standby();
    for (const FakeReplica* replica : replicas) {
      v1::StandbyReplica& each = *update.mutable_standby()->add_replicas();
      each.set_address(replica->address());
      each.set_namespace_("test");
    }
    return activator_->Apply(update);
  }
  absl::Status RemoveFunction() {
    v1::RouteUpdate update;
    update.set_version(++version_);
    update.add_remove(route_.function());
    return activator_->Apply(update);
  }

  Call Begin(const std::string& id, std::string body = "body", bool complete = true,
             std::uint32_t timeout_ms = 10'000, const std::string& trigger = "") {
    Call call;
    call.sink = std::make_shared<RecordingSink>();
    DispatchRequest request;
    request.route = std::make_shared<const v1::FunctionRoute>(route_);
    request.trigger = trigger;
    request.start.set_invocation_id(id);
    request.start.set_timeout_ms(timeout_ms);
    request.start.set_window(1 << 20);
    request.body = std::move(body);
    request.body_complete = complete;
    call.handle = activator_->Begin(std::move(request), call.sink);
    return call;
  }

  void OnReport(const v1::GatewayReport& report) {
    const std::lock_guard lock(mutex_);
    reports_.push_back(report);
    changed_.notify_all();
  }
  // Waits for a report for which `condition` holds.
  bool WaitForReport(const std::function<bool(const v1::GatewayReport&)>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      for (const auto& report : reports_) {
        if (condition(report)) return true;
      }
      return false;
    });
  }
  std::vector<v1::GatewayReport> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }
  void ForgetReports() {
    const std::lock_guard lock(mutex_);
    reports_.clear();
  }
  bool WaitForDemand(std::uint32_t busy, std::uint32_t held) {
    return WaitForReport([&](const v1::GatewayReport& report) {
      for (const v1::Demand& demand : report.demand()) {
        if (demand.busy() == busy && demand.held() == held) return true;
      }
      return false;
    });
  }

  base::TempDir folder_;
  base::RealClock clock_;
  base::Metrics metrics_;
  v1::FunctionRoute route_;
  std::uint64_t version_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<v1::GatewayReport> reports_;

  std::vector<std::unique_ptr<FakeReplica>> replicas_;
  std::unique_ptr<Activator> activator_;
};

}  // namespace mayfly::gateway
