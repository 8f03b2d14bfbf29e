// An ObjectCache holds the projections of one kind's objects by key.
//
// A list fills it generation by generation: what an earlier list or watch had put there and this list no
// longer shows is gone, and EndList() says so, which is how a deletion is noticed that happened while nobody
// watched. Objects are shared and never changed: a reader keeps what it got.
//
// It knows no type: Informer<T> gives it one. Thread-safe; the calls that change it come from one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/functional/function_ref.h"

namespace mayfly::kube {

class ObjectCache {
 public:
  using Object = std::shared_ptr<const void>;
  // Whether two objects mean the same to who reads them.
  using Same = std::function<bool(const void*, const void*)>;

  explicit ObjectCache(Same same) : same_(std::move(same)) {}

  // A list begins, or begins again.
  void BeginList();
  // Whether `key` is new or means something else than before.
  bool Put(const std::string& key, Object object);
  // Whether it was there.
  bool Remove(const std::string& key);
  // The list is whole. Drops what it did not show, and returns the keys.
  std::vector<std::string> EndList();

  // Null if there is none.
  Object Get(const std::string& key) const;
  std::size_t size() const;
  std::vector<std::string> Keys() const;
  void ForEach(absl::FunctionRef<void(const std::string& key, const void* object)> visit) const;

 private:
  struct Entry {
    Object object;
    std::uint32_t generation = 0;
  };

  const Same same_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;  // guarded by mutex_
  std::uint32_t generation_ = 0;                    // guarded by mutex_
};

}  // namespace mayfly::kube
