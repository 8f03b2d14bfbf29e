#include "operator/pods/pod_index.h"

#include <fmt/format.h>

#include <utility>

#include "operator/kube/object_meta.h"
#include "operator/pods/pod_template.h"

namespace mayfly::op {
namespace {

// Where the runtime in the pod with `ip` listens: a gRPC target.
std::string AddressOf(const std::string& ip, std::uint16_t port) {
  return ip.find(':') != std::string::npos ? fmt::format("ipv6:[{}]:{}", ip, port)
                                           : fmt::format("ipv4:{}:{}", ip, port);
}

void Remove(std::map<std::string, std::set<std::string>>& index, const std::string& key,
            const std::string& pod) {
  const auto found = index.find(key);
  if (found == index.end()) return;
  found->second.erase(pod);
  if (found->second.empty()) index.erase(found);
}

std::set<std::string> Find(const std::map<std::string, std::set<std::string>>& index,
                           const std::string& key) {
  const auto found = index.find(key);
  return found == index.end() ? std::set<std::string>() : found->second;
}

}  // namespace

PodIndex::PodIndex(kube::Client& client, const std::string& space, std::uint16_t port)
    : port_(port),
      pods_(client,
            {.resource = kube::Pods(),
             .space = space,
             .selectors = {.labels = fmt::format("{}={},{}={}", kManagedByLabel, kManagedBy, kComponentLabel,
                                                 kRuntime)}},
            &ReadPod) {
  pods_.AddHandler([this](const std::string& key) { OnPod(key); });
}

void PodIndex::ListenToFunctions(Listener listener) {
  const std::lock_guard lock(mutex_);
  function_listener_ = std::move(listener);
}

void PodIndex::ListenToPools(Listener listener) {
  const std::lock_guard lock(mutex_);
  pool_listener_ = std::move(listener);
}

std::pair<PodIndex::Belonging, PodIndex::Belonging> PodIndex::PlaceLocked(const std::string& key,
                                                                          const PodView* pod) {
  Belonging before;
  if (const auto known = belongings_.find(key); known != belongings_.end()) before = known->second;
  Belonging now;
  if (pod == nullptr || !pod->function.empty()) assigned_.erase(key);
  if (pod != nullptr && !pod->function.empty()) {
    now.function = kube::KeyOf(pod->space, pod->function);
  } else if (const auto found = assigned_.find(key); found != assigned_.end()) {
    now.function = found->second;
  } else if (pod != nullptr && !pod->pool.empty()) {
    now.pool = kube::KeyOf(pod->space, pod->pool);
  }
  if (pod == nullptr) {
    belongings_.erase(key);
  } else {
    belongings_[key] = now;
  }
  if (before != now) {
    Remove(of_function_, before.function, key);
    Remove(of_pool_, before.pool, key);
    if (!now.function.empty()) of_function_[now.function].insert(key);
    if (!now.pool.empty()) of_pool_[now.pool].insert(key);
  }
  return {std::move(before), std::move(now)};
}

void PodIndex::OnPod(const std::string& key) {
  const std::shared_ptr<const PodView> pod = pods_.Get(key);
  std::pair<Belonging, Belonging> moved;
  {
    const std::lock_guard lock(mutex_);
    moved = PlaceLocked(key, pod.get());
    if (pod == nullptr) {
      std::erase_if(pod_at_, [&](const auto& at) { return at.second == key; });
    } else if (!pod->ip.empty()) {
      pod_at_[AddressOf(pod->ip, port_)] = key;
    }
  }
  Tell(moved.first);
  if (moved.second != moved.first) Tell(moved.second);
}

void PodIndex::Assign(const std::string& pod, const std::string& function) {
  const std::shared_ptr<const PodView> view = pods_.Get(pod);
  std::pair<Belonging, Belonging> moved;
  {
    const std::lock_guard lock(mutex_);
    if (function.empty()) {
      assigned_.erase(pod);
    } else if (view != nullptr) {
      assigned_[pod] = function;
    }
    moved = PlaceLocked(pod, view.get());
  }
  // Who assigns it knows; the others hear of it.
  if (function.empty()) Tell(moved.second);
}

void PodIndex::Tell(const Belonging& belonging) {
  Listener functions;
  Listener pools;
  {
    const std::lock_guard lock(mutex_);
    functions = function_listener_;
    pools = pool_listener_;
  }
  Tell(functions, belonging.function);
  Tell(pools, belonging.pool);
}

Replica PodIndex::MakeReplica(const std::string& key, const PodView& pod) const {
  Replica replica;
  replica.name = key;
  replica.phase = pod.phase;
  replica.reason = pod.reason;
  replica.message = pod.message;
  replica.replica_template = pod.replica_template;
  replica.pooled = pod.pooled;
  if (!pod.ip.empty()) replica.address = AddressOf(pod.ip, port_);
  return replica;
}

std::vector<Replica> PodIndex::OfFunction(const std::string& function) const {
  std::set<std::string> keys;
  {
    const std::lock_guard lock(mutex_);
    keys = Find(of_function_, function);
  }
  std::vector<Replica> replicas;
  for (const std::string& key : keys) {
    const std::shared_ptr<const PodView> pod = pods_.Get(key);
    if (pod == nullptr) continue;
    Replica replica = MakeReplica(key, *pod);
    replica.function = function;
    // What its annotation has is the pool's, until the pod is claimed.
    if (pod->function.empty()) replica.replica_template.clear();
    replicas.push_back(std::move(replica));
  }
  return replicas;
}

std::vector<Replica> PodIndex::OfPool(const std::string& pool, const std::string& uid) const {
  std::set<std::string> keys;
  {
    const std::lock_guard lock(mutex_);
    keys = Find(of_pool_, pool);
  }
  std::vector<Replica> replicas;
  for (const std::string& key : keys) {
    const std::shared_ptr<const PodView> pod = pods_.Get(key);
    if (pod != nullptr && pod->owner == uid) replicas.push_back(MakeReplica(key, *pod));
  }
  return replicas;
}

std::string PodIndex::SpaceAt(const std::string& address) const {
  const std::lock_guard lock(mutex_);
  const auto found = pod_at_.find(address);
  return found == pod_at_.end() ? "" : found->second.substr(0, found->second.find('/'));
}

}  // namespace mayfly::op
