// A FakeReplicaClient answers as runtimes would: it remembers what each replica has loaded, and fails as it is told.
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "operator/control/replica_client.h"

namespace mayfly::op {

class FakeReplicaClient final : public ReplicaClient {
 public:
  using LoadBehaviour = std::function<absl::StatusOr<v1::LoadReply>(const std::string& address,
                                                                    const v1::LoadRequest& request)>;

  // Asked before a Load succeeds; an OK reply without a problem is a success. May block.
  void OnLoad(LoadBehaviour behaviour) {
    std::lock_guard lock(mutex_);
    on_load_ = std::move(behaviour);
  }
  void OnDescribe(std::function<absl::Status(const std::string& address)> behaviour) {
    std::lock_guard lock(mutex_);
    on_describe_ = std::move(behaviour);
  }
  // As if `address` had loaded it before.
  void SetLoaded(const std::string& address, const std::string& function, const std::string& revision) {
    std::lock_guard lock(mutex_);
    loaded_[address] = {function, revision};
  }
  void SetBusy(const std::string& address, std::uint32_t busy) {
    std::lock_guard lock(mutex_);
    busy_[address] = busy;
  }

  std::vector<v1::LoadRequest> Loads() const {
    std::lock_guard lock(mutex_);
    return loads_;
  }
  std::vector<std::string> Drained() const {
    std::lock_guard lock(mutex_);
    return drained_;
  }
  std::vector<std::string> Forgotten() const {
    std::lock_guard lock(mutex_);
    return forgotten_;
  }

  absl::StatusOr<v1::LoadReply> Load(const std::string& address, const v1::LoadRequest& request,
                                     std::chrono::milliseconds) override {
    LoadBehaviour behaviour;
    {
      std::lock_guard lock(mutex_);
      if (cancelled_) return absl::CancelledError("stopped");
      loads_.push_back(request);
      behaviour = on_load_;
    }
    v1::LoadReply reply;
    if (behaviour) {
      auto answer = behaviour(address, request);
      if (!answer.ok() || answer->has_problem()) return answer;
      reply = *std::move(answer);
    }
    std::lock_guard lock(mutex_);
    loaded_[address] = {request.function(), request.revision()};
    slots_[address] = request.concurrency();
    reply.set_revision(request.revision());
    return reply;
  }
  absl::StatusOr<v1::DrainReply> Drain(const std::string& address, const v1::DrainRequest&,
                                       std::chrono::milliseconds) override {
    std::lock_guard lock(mutex_);
    if (cancelled_) return absl::CancelledError("stopped");
    drained_.push_back(address);
    return v1::DrainReply();
  }
  absl::StatusOr<v1::DescribeReply> Describe(const std::string& address, std::chrono::milliseconds) override {
    std::function<absl::Status(const std::string&)> behaviour;
    {
      std::lock_guard lock(mutex_);
      behaviour = on_describe_;
    }
    if (behaviour) {
      if (absl::Status failed = behaviour(address); !failed.ok()) return failed;
    }
    std::lock_guard lock(mutex_);
    v1::DescribeReply reply;
    reply.set_function(loaded_[address].first);
    reply.set_revision(loaded_[address].second);
    reply.set_busy(busy_[address]);
    reply.mutable_capacity()->set_slots(slots_.contains(address) ? slots_[address] : 10);
    return reply;
  }
  void Forget(const std::string& address) override {
    std::lock_guard lock(mutex_);
    forgotten_.push_back(address);
  }
  void Cancel() override {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
  }

 private:
  mutable std::mutex mutex_;
  // All guarded by mutex_:
  LoadBehaviour on_load_;
  std::function<absl::Status(const std::string&)> on_describe_;
  std::map<std::string, std::pair<std::string, std::string>> loaded_;
  std::map<std::string, std::uint32_t> slots_;
  std::map<std::string, std::uint32_t> busy_;
  std::vector<v1::LoadRequest> loads_;
  std::vector<std::string> drained_;
  std::vector<std::string> forgotten_;
  bool cancelled_ = false;
};

}  // namespace mayfly::op
