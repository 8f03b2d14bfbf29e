// A PodIndex is the cache of all runtimes' pods, and knows of each whose it is: a function's, or a pool's.
//
// One watch keeps it. A pod belongs to the function that its label names; without one, to the function that it was
// assigned to in memory; else to the pool of its other label.
//
// Thread-safe. The watch's thread calls the listeners.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "operator/controller/cluster.h"
#include "operator/kube/informer.h"
#include "operator/pods/pod_view.h"

namespace mayfly::op {

class PodIndex {
 public:
  using Listener = std::function<void(const std::string& key)>;

  // `client` must outlive it. `space`: the one namespace to look at; "" for all. Runtimes listen on `port`.
  PodIndex(kube::Client& client, const std::string& space, std::uint16_t port);

  // Who hears of functions, and of pools, whose pods changed; null for nobody. Must not block.
  void ListenToFunctions(Listener listener);
  void ListenToPools(Listener listener);

  void Start() { pods_.Start(); }
  bool WaitSynced(base::MonotonicTime deadline) const { return pods_.WaitSynced(deadline); }
  void Stop() { pods_.Stop(); }

  std::vector<Replica> OfFunction(const std::string& function) const;
  // Those that the pool with `uid` owns.
  std::vector<Replica> OfPool(const std::string& pool, const std::string& uid) const;
  // The namespace of the pod that is, or was last, at `address`; "" if there was none.
  std::string SpaceAt(const std::string& address) const;

  // From now on the pod is listed as the function's, unless its label says otherwise; "": as the pool's again.
  void Assign(const std::string& pod, const std::string& function);

 private:
  // Whose a pod is: one of the two is set.
  struct Belonging {
    std::string function;
    std::string pool;

    bool operator==(const Belonging&) const = default;
  };

  void OnPod(const std::string& key);
  // Puts the pod where it belongs; null: it is gone. Where it was before, and where it is now.
  std::pair<Belonging, Belonging> PlaceLocked(const std::string& key, const PodView* pod);
  void Tell(const Belonging& belonging);
  void Tell(const Listener& listener, const std::string& key) const {
    if (listener && !key.empty()) listener(key);
  }
  Replica MakeReplica(const std::string& key, const PodView& pod) const;

  const std::uint16_t port_;
  kube::Informer<PodView> pods_;

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  Listener function_listener_;
  Listener pool_listener_;
  std::map<std::string, Belonging> belongings_;  // by pod
  std::map<std::string, std::string> assigned_;  // function by pod
  std::map<std::string, std::string> pod_at_;    // by address, which another pod may have had before
  std::map<std::string, std::set<std::string>> of_function_;
  std::map<std::string, std::set<std::string>> of_pool_;
};

}  // namespace mayfly::op
