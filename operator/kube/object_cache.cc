#include "operator/kube/object_cache.h"

#include <utility>

namespace mayfly::kube {

void ObjectCache::BeginList() {
  const std::unique_lock lock(mutex_);
  ++generation_;
}

bool ObjectCache::Put(const std::string& key, Object object) {
  const std::unique_lock lock(mutex_);
  const auto [entry, added] = entries_.try_emplace(key);
  entry->second.generation = generation_;
  if (!added && same_(entry->second.object.get(), object.get())) return false;
  entry->second.object = std::move(object);
  return true;
}

bool ObjectCache::Remove(const std::string& key) {
  const std::unique_lock lock(mutex_);
  return entries_.erase(key) > 0;
}

std::vector<std::string> ObjectCache::EndList() {
  const std::unique_lock lock(mutex_);
  std::vector<std::string> gone;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (entry->second.generation == generation_) {
      ++entry;
      continue;
    }
    gone.push_back(entry->first);
    entry = entries_.erase(entry);
  }
  return gone;
}

ObjectCache::Object ObjectCache::Get(const std::string& key) const {
  const std::shared_lock lock(mutex_);
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : found->second.object;
}

std::size_t ObjectCache::size() const {
  const std::shared_lock lock(mutex_);
  return entries_.size();
}

std::vector<std::string> ObjectCache::Keys() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> keys;
  keys.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) keys.push_back(key);
  return keys;
}

void ObjectCache::ForEach(absl::FunctionRef<void(const std::string& key, const void* object)> visit) const {
  const std::shared_lock lock(mutex_);
  for (const auto& [key, entry] : entries_) visit(key, entry.object.get());
}

}  // namespace mayfly::kube
