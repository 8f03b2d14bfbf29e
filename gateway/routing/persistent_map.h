// A PersistentMap is an immutable map from strings, of which a changed copy costs little.
//
// With() and Without() return a new map that shares all but one shard with the old one: about the square root
// of its size is copied, so that one function more among 10,000 costs microseconds while readers keep the map
// that they hold. Copying a map copies a pointer.
//
// Values are immutable: any number of threads may read one map.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mayfly::gateway {

template <typename Value>
class PersistentMap {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The value of `key`, valid as long as this map or a copy of it; nullptr if there is none.
  const Value* Find(std::string_view key) const {
    if (size_ == 0) return nullptr;
    const std::size_t hash = Hash(key);
    const Shard* shard = (*shards_)[hash & (shards_->size() - 1)].get();
    if (shard == nullptr) return nullptr;
    for (const Entry& entry : *shard) {
      if (entry.hash == hash && entry.key == key) return &entry.value;
    }
    return nullptr;
  }

  // This map with `key` set to `value`.
  PersistentMap With(std::string_view key, Value value) const {
    PersistentMap result;
    const std::size_t wanted = shards_ ? shards_->size() : 1;
    auto shards = size_ >= wanted * kEntriesPerShard ? Spread(wanted * 4)
                  : shards_                          ? std::make_shared<Shards>(*shards_)
                                                     : std::make_shared<Shards>(1);
    const std::size_t hash = Hash(key);
    auto& slot = (*shards)[hash & (shards->size() - 1)];
    auto shard = slot ? std::make_shared<Shard>(*slot) : std::make_shared<Shard>();
    result.size_ = size_ + 1;
    bool found = false;
    for (Entry& entry : *shard) {
      if (entry.hash != hash || entry.key != key) continue;
      entry.value = value;
      found = true;
      --result.size_;
    }
    if (!found) shard->push_back(Entry{hash, std::string(key), std::move(value)});
    slot = std::move(shard);
    result.shards_ = std::move(shards);
    return result;
  }

  // This map without `key`.
  PersistentMap Without(std::string_view key) const {
    if (Find(key) == nullptr) return *this;
    PersistentMap result;
    if (size_ == 1) return result;
    auto shards = std::make_shared<Shards>(*shards_);
    const std::size_t hash = Hash(key);
    auto& slot = (*shards)[hash & (shards->size() - 1)];
    auto shard = std::make_shared<Shard>();
    for (const Entry& entry : *slot) {
      if (entry.hash != hash || entry.key != key) shard->push_back(entry);
    }
    slot = std::move(shard);
    result.shards_ = std::move(shards);
    result.size_ = size_ - 1;
    return result;
  }

  // Calls `visit(key, value)` for each, in no order.
  template <typename Visit>
  void ForEach(Visit visit) const {
    if (!shards_) return;
    for (const auto& shard : *shards_) {
      if (!shard) continue;
      for (const Entry& entry : *shard) visit(entry.key, entry.value);
    }
  }

 private:
  static constexpr std::size_t kEntriesPerShard = 16;

  struct Entry {
    std::size_t hash;
    std::string key;
    Value value;
  };
  using Shard = std::vector<Entry>;
  using Shards = std::vector<std::shared_ptr<const Shard>>;

  static std::size_t Hash(std::string_view key) { return std::hash<std::string_view>()(key); }

  // The same entries over `count` shards, a power of two.
  std::shared_ptr<Shards> Spread(std::size_t count) const {
    std::vector<std::shared_ptr<Shard>> spread(count);
    for (const auto& shard : *shards_) {
      if (!shard) continue;
      for (const Entry& entry : *shard) {
        auto& slot = spread[entry.hash & (count - 1)];
        if (!slot) slot = std::make_shared<Shard>();
        slot->push_back(entry);
      }
    }
    return std::make_shared<Shards>(spread.begin(), spread.end());
  }

  std::shared_ptr<const Shards> shards_;
  std::size_t size_ = 0;
};

}  // namespace mayfly::gateway
