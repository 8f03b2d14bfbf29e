// A Reflector keeps an ObjectCache as the API server's objects of one kind are.
//
// It lists, then watches from the list's version on. When a watch ends it goes on from the last version it
// saw (bookmarks keep that fresh where nothing happens), so that a closed connection costs one request and
// no event. Only when the server has forgotten that version (410, as answer or as event) is everything listed
// anew; objects that went meanwhile are then found missing and told of. Failures are tried again with
// backoff and jitter, forever: the owner stops it.
//
// `changed` is called on the reflector's thread with the key of each object that is new, different or gone,
// and must not block: it adds a key to a queue.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "base/backoff.h"
#include "operator/kube/client.h"
#include "operator/kube/object_cache.h"

namespace mayfly::kube {

struct ReflectorOptions {
  Resource resource;
  std::string space = {};  // "" for all namespaces
  Selectors selectors = {};
  std::int64_t page = 500;
  // A watch is asked to last this long and up to twice that, so that those of many do not end together.
  std::chrono::seconds watch_timeout{300};
  std::chrono::milliseconds idle_timeout{150'000};
  std::chrono::milliseconds list_timeout{60'000};
  std::chrono::milliseconds first_backoff{250};
  std::chrono::milliseconds longest_backoff{30'000};
};

class Reflector {
 public:
  using Project = std::function<ObjectCache::Object(const JsonView&)>;

  // `client` and `cache` must outlive it.
  Reflector(Client& client, ReflectorOptions options, ObjectCache& cache, Project project,
            std::function<void(const std::string& key)> changed);
  // Stops.
  ~Reflector();

  // Starts the thread, which goes on from what is known if there was one before. REQUIRES: not running.
  void Start();
  // Ends the watch at once; `changed` is not called any more once it has returned. Idempotent.
  void Stop();

  // Whether the cache was whole once: until then, that an object is missing means nothing.
  bool synced() const { return synced_; }
  // Whether the cache is as fresh as the watch: false until the first list, and from a failure on until the
  // server answers again. What was seen is then still there, but may be old.
  bool current() const { return current_; }
  // Waits until synced() or `deadline`, or `stop`; whether it is.
  bool WaitSynced(base::MonotonicTime deadline, std::stop_token stop = {}) const;

 private:
  void Run(std::stop_token stop);
  absl::Status ListOnce(std::stop_token stop);
  absl::Status WatchOnce(std::stop_token stop);
  void OnEvent(const WatchEvent& event);
  void CountRestart(const absl::Status& status, bool too_short);
  void Wait(std::chrono::milliseconds delay, std::stop_token stop);
  void SetSynced();

  Client& client_;
  const ReflectorOptions options_;
  ObjectCache& cache_;
  const Project project_;
  const std::function<void(const std::string&)> changed_;

  prometheus::Gauge& objects_;
  prometheus::Gauge& synced_gauge_;
  prometheus::Histogram& lag_;

  // Of the reflector's thread.
  std::string version_;  // "": list first
  bool heard_ = false;   // of this watch
  base::Backoff backoff_;

  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_state_;
  std::atomic<bool> synced_ = false;  // set under mutex_
  std::atomic<bool> current_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::kube
