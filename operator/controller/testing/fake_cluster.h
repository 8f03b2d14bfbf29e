// A FakeCluster is a Cluster in memory, whose replicas do what the test says. It counts what is written to it, and can
// fail any call.
//
// Thread-safe. `changed` is called on the thread of whoever changes something.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "operator/controller/cluster.h"

namespace mayfly::op {

class FakeCluster final : public Cluster {
 public:
  // What the test does.

  void Apply(FunctionObject object) {
    const std::string key = object.function->Key();
    {
      std::lock_guard lock(mutex_);
      functions_[key] = std::move(object);
    }
    Changed(key);
  }
  // A manifest that never was valid.
  void ApplyInvalid(const std::string& key, v1::Problem problem) {
    {
      std::lock_guard lock(mutex_);
      functions_[key] = FunctionObject{.function = nullptr,
                                       .problem = std::move(problem),
                                       .artifact_sha256 = {},
                                       .artifact_path = {},
                                       .artifact_problem = {}};
    }
    Changed(key);
  }
  void Remove(const std::string& key) {
    {
      std::lock_guard lock(mutex_);
      functions_.erase(key);
    }
    Changed(key);
  }
  // Makes or changes a Secret of the namespace "default"; nobody is told.
  void SetSecret(const std::string& name, SecretData data) {
    std::lock_guard lock(mutex_);
    secrets_[name] = std::move(data);
  }
  void RemoveSecret(const std::string& name) {
    std::lock_guard lock(mutex_);
    secrets_.erase(name);
  }
  // Adds a replica that nobody asked for, as an operator finds them after a restart.
  void AddReplica(Replica replica) {
    const std::string key = replica.function;
    {
      std::lock_guard lock(mutex_);
      replicas_[replica.name] = std::move(replica);
    }
    Changed(key);
  }
  // A replica is no longer there, and nobody deleted it.
  void Vanish(const std::string& name) {
    std::string key;
    {
      std::lock_guard lock(mutex_);
      const auto found = replicas_.find(name);
      if (found == replicas_.end()) return;
      key = found->second.function;
      replicas_.erase(found);
    }
    Changed(key);
  }
  void SetPhase(const std::string& name, ReplicaPhase phase, const std::string& message = "") {
    std::string key;
    {
      std::lock_guard lock(mutex_);
      auto found = replicas_.find(name);
      if (found == replicas_.end()) return;
      found->second.phase = phase;
      found->second.message = message;
      key = found->second.function;
    }
    Changed(key);
  }
  // What keeps a replica from starting.
  void SetBlocked(const std::string& name, const std::string& reason, const std::string& message) {
    {
      std::lock_guard lock(mutex_);
      replicas_[name].reason = reason;
    }
    SetPhase(name, ReplicaPhase::kStarting, message);
  }
  // Every replica that starts, runs.
  void RunAll() {
    for (const Replica& replica : All()) {
      if (replica.phase == ReplicaPhase::kStarting) SetPhase(replica.name, ReplicaPhase::kRunning);
    }
  }
  // Called with each call's name ("CreateReplica", …) before it does anything; what is not OK is returned.
  void FailWith(std::function<absl::Status(const std::string& call)> fail) {
    std::lock_guard lock(mutex_);
    fail_ = std::move(fail);
  }
  // Replicas run as soon as they are created.
  void RunAtOnce(bool run) {
    std::lock_guard lock(mutex_);
    run_at_once_ = run;
  }

  // What the test looks at.

  std::vector<Replica> All() const {
    std::lock_guard lock(mutex_);
    std::vector<Replica> all;
    for (const auto& [name, replica] : replicas_) all.push_back(replica);
    return all;
  }
  FunctionStatus Status(const std::string& key) const {
    std::lock_guard lock(mutex_);
    const auto found = statuses_.find(key);
    return found == statuses_.end() ? FunctionStatus() : found->second;
  }
  Condition ConditionOf(const std::string& key, const std::string& type) const {
    for (const Condition& condition : Status(key).conditions) {
      if (condition.type == type) return condition;
    }
    return {};
  }
  std::vector<EventRecord> Events() const {
    std::lock_guard lock(mutex_);
    return events_;
  }
  bool HasEvent(const std::string& reason) const {
    std::lock_guard lock(mutex_);
    return std::any_of(events_.begin(), events_.end(), [&](auto& event) { return event.reason == reason; });
  }
  int secret_reads() const { return Count(secret_reads_); }
  int created() const { return Count(created_); }
  int deleted() const { return Count(deleted_); }
  int status_writes() const { return Count(status_writes_); }
  int calls() const { return Count(calls_); }

  // Cluster:

  absl::Status Watch(std::function<void(const std::string&)> changed) override {
    std::vector<std::string> keys = Functions();
    {
      std::lock_guard lock(watch_mutex_);
      changed_ = std::move(changed);
    }
    for (const std::string& key : keys) Changed(key);
    return absl::OkStatus();
  }
  void Unwatch() override {
    std::lock_guard lock(watch_mutex_);
    changed_ = nullptr;
  }
  std::vector<std::string> Functions() const override {
    std::lock_guard lock(mutex_);
    std::vector<std::string> keys;
    for (const auto& [key, object] : functions_) keys.push_back(key);
    return keys;
  }
  absl::StatusOr<FunctionObject> GetFunction(const std::string& function) const override {
    std::lock_guard lock(mutex_);
    if (absl::Status failed = FailLocked("GetFunction"); !failed.ok()) return failed;
    const auto found = functions_.find(function);
    if (found == functions_.end()) return absl::NotFoundError("no function " + function);
    return found->second;
  }
  absl::StatusOr<SecretData> GetSecret(const std::string& space, const std::string& name) const override {
    std::lock_guard lock(mutex_);
    ++secret_reads_;
    if (absl::Status failed = FailLocked("GetSecret"); !failed.ok()) return failed;
    const auto found = secrets_.find(name);
    if (space != "default" || found == secrets_.end())
      return absl::NotFoundError("there is no Secret " + name + " in namespace " + space);
    return found->second;
  }
  std::vector<Replica> Replicas(const std::string& function) const override {
    std::lock_guard lock(mutex_);
    std::vector<Replica> found;
    for (const auto& [name, replica] : replicas_) {
      if (replica.function == function) found.push_back(replica);
    }
    return found;
  }
  absl::StatusOr<std::string> CreateReplica(const Function& function) override {
    std::string name;
    bool runs = false;
    {
      std::lock_guard lock(mutex_);
      if (absl::Status failed = FailLocked("CreateReplica"); !failed.ok()) return failed;
      ++created_;
      runs = run_at_once_;
      name = function.name + "-" + std::to_string(++names_);
      replicas_[name] = {.name = name,
                         .function = function.Key(),
                         .phase = runs ? ReplicaPhase::kRunning : ReplicaPhase::kStarting,
                         .address = "unix:/" + name,
                         .message = {},
                         .replica_template = TemplateLocked(function.Key()),
                         .created = {}};
    }
    if (runs) Changed(function.Key());
    return name;
  }
  absl::Status DeleteReplica(const std::string& replica, std::chrono::milliseconds grace) override {
    std::string key;
    {
      std::lock_guard lock(mutex_);
      static_cast<void>(grace);
      if (absl::Status failed = FailLocked("DeleteReplica"); !failed.ok()) return failed;
      const auto found = replicas_.find(replica);
      if (found == replicas_.end()) return absl::OkStatus();
      ++deleted_;
      key = found->second.function;
      replicas_.erase(found);
    }
    Changed(key);
    return absl::OkStatus();
  }
  absl::Status WriteStatus(const std::string& function, const FunctionStatus& status) override {
    std::lock_guard lock(mutex_);
    if (absl::Status failed = FailLocked("WriteStatus"); !failed.ok()) return failed;
    ++status_writes_;
    statuses_[function] = status;
    return absl::OkStatus();
  }
  void RecordEvent(const EventRecord& event) override {
    std::lock_guard lock(mutex_);
    events_.push_back(event);
  }

 private:
  std::string TemplateLocked(const std::string& key) const {
    const auto found = functions_.find(key);
    return found == functions_.end() ? "" : found->second.replica_template;
  }
  void Changed(const std::string& key) {
    std::lock_guard lock(watch_mutex_);
    if (changed_) changed_(key);
  }
  absl::Status FailLocked(const std::string& call) const {
    ++calls_;
    return fail_ ? fail_(call) : absl::OkStatus();
  }
  int Count(const int& counter) const {
    std::lock_guard lock(mutex_);
    return counter;
  }

  std::mutex watch_mutex_;
  std::function<void(const std::string&)> changed_;  // guarded by watch_mutex_

  mutable std::mutex mutex_;
  // All guarded by mutex_:
  std::map<std::string, FunctionObject> functions_;
  std::map<std::string, Replica> replicas_;
  std::map<std::string, SecretData> secrets_;
  std::map<std::string, FunctionStatus> statuses_;
  std::vector<EventRecord> events_;
  std::function<absl::Status(const std::string&)> fail_;
  bool run_at_once_ = false;
  int names_ = 0;
  mutable int secret_reads_ = 0;
  int created_ = 0;
  int deleted_ = 0;
  int status_writes_ = 0;
  mutable int calls_ = 0;
};

}  // namespace mayfly::op
