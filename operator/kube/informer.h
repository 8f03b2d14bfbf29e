// An Informer<T> is a cache of one kind's objects, each kept as a T: only the fields that somebody reads.
//
//   struct Pod { ObjectMeta meta; std::string phase; bool operator==(const Pod&) const = default; };
//   Informer<Pod> pods(client, {.resource = Pods(), .space = "photos"}, [](const JsonView& object) {
//     return Pod{ReadMeta(object), std::string(object["status"]["phase"].Text())};
//   });
//   pods.AddHandler([&queue](const std::string& key) { queue.Add(key); });
//   pods.Start();
//
// Handlers hear "namespace/name" of each object that is new, different or gone, never what happened to it:
// they read the cache again. A change that two T's compare equal over is not told. One informer per kind is
// shared by all who read that kind; see reflector.h for how it stays up to date.
//
// Thread-safe but for AddHandler(), which comes before Start().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "operator/kube/reflector.h"

namespace mayfly::kube {

template <typename T>
class Informer {
 public:
  using Handler = std::function<void(const std::string& key)>;

  // `client` must outlive the informer. `project` must not throw; it gets objects that the server validated.
  Informer(Client& client, ReflectorOptions options, std::function<T(const JsonView&)> project)
      : cache_([](const void* a, const void* b) {
          return *static_cast<const T*>(a) == *static_cast<const T*>(b);
        }),
        reflector_(
            client, std::move(options), cache_,
            [project = std::move(project)](const JsonView& object) -> ObjectCache::Object {
              return std::make_shared<const T>(project(object));
            },
            [this](const std::string& key) {
              for (const Handler& handler : handlers_) handler(key);
            }) {}

  // `handler` is called on the informer's thread and must not block. REQUIRES: not started.
  void AddHandler(Handler handler) { handlers_.push_back(std::move(handler)); }

  void Start() { reflector_.Start(); }
  // No handler is called any more once it has returned. Idempotent; also done by the destructor.
  void Stop() { reflector_.Stop(); }

  bool synced() const { return reflector_.synced(); }
  bool current() const { return reflector_.current(); }
  bool WaitSynced(base::MonotonicTime deadline, std::stop_token stop = {}) const {
    return reflector_.WaitSynced(deadline, std::move(stop));
  }

  // Null if there is none. Before synced() that says nothing.
  std::shared_ptr<const T> Get(const std::string& key) const {
    return std::static_pointer_cast<const T>(cache_.Get(key));
  }
  std::size_t size() const { return cache_.size(); }
  std::vector<std::string> Keys() const { return cache_.Keys(); }
  // `visit` must not block, nor call the informer: the cache is locked meanwhile.
  void ForEach(absl::FunctionRef<void(const std::string& key, const T& object)> visit) const {
    cache_.ForEach(
        [visit](const std::string& key, const void* object) { visit(key, *static_cast<const T*>(object)); });
  }

 private:
  std::vector<Handler> handlers_;
  ObjectCache cache_;
  Reflector reflector_;  // last: its thread uses the others
};

}  // namespace mayfly::kube
