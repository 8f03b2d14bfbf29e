#include "operator/kube/event_correlator.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace mayfly::kube {
namespace {

constexpr std::size_t kMaxMessage = 1024;
constexpr std::size_t kMaxObjectName = 200;  // the Event's name adds to it, and may have 253
constexpr char kCombined[] = "(combined from similar events): ";

std::string ObjectKey(const ObjectReference& object) {
  return fmt::format("{}\n{}\n{}\n{}", object.kind, object.space, object.name, object.uid);
}

std::string GroupKey(const EventNote& note) {
  return fmt::format("{}\n{}\n{}", ObjectKey(note.regarding), note.warning, note.reason);
}

std::string Cut(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // no half of a character
  text.resize(end);
  return text + "...";
}

}  // namespace

template <typename Value>
Value& EventCorrelator::Recent<Value>::Touch(const std::string& key) {
  if (const auto found = places_.find(key); found != places_.end()) {
    order_.splice(order_.begin(), order_, found->second);
    return order_.front().second;
  }
  if (order_.size() >= most_) {
    places_.erase(order_.back().first);
    order_.pop_back();
  }
  order_.emplace_front(key, Value());
  places_[key] = order_.begin();
  return order_.front().second;
}

template <typename Value>
void EventCorrelator::Recent<Value>::Erase(const std::string& key) {
  const auto found = places_.find(key);
  if (found == places_.end()) return;
  order_.erase(found->second);
  places_.erase(found);
}

std::optional<EventWrite> EventCorrelator::Correlate(const EventNote& note, base::MonotonicTime now,
                                                     base::WallTime wall) {
  if (!TakeToken(ObjectKey(note.regarding), now)) return std::nullopt;
  const std::string group = GroupKey(note);
  const bool combined = Combines(group, note.message, now);
  Written& written = written_.Touch(combined ? group : group + "\n" + note.message);
  EventWrite write;
  if (written.count == 0 || now - written.last > limits_.window) {
    // As Kubernetes names them: the object's name, and what makes it unique.
    written.name = fmt::format("{}.{:x}{:04x}", note.regarding.name.substr(0, kMaxObjectName),
                               wall.time_since_epoch().count(), ++names_ & 0xffff);
    written.count = 0;
    written.first = wall;
  } else {
    write.fresh = false;
  }
  written.last = now;
  write.name = written.name;
  write.count = ++written.count;
  write.message = Cut((combined ? kCombined : "") + note.message, kMaxMessage);
  write.first = written.first;
  write.last = wall;
  return write;
}

void EventCorrelator::Forget(const EventNote& note) {
  const std::string group = GroupKey(note);
  written_.Erase(group);
  written_.Erase(group + "\n" + note.message);
}

bool EventCorrelator::TakeToken(const std::string& object, base::MonotonicTime now) {
  Bucket& bucket = buckets_.Touch(object);
  if (bucket.tokens < 0) {
    bucket.tokens = limits_.burst;
  } else {
    const double passed = std::chrono::duration<double>(now - bucket.filled).count();
    bucket.tokens = std::min(limits_.burst, bucket.tokens + passed * limits_.per_second);
  }
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

bool EventCorrelator::Combines(const std::string& group, const std::string& message,
                               base::MonotonicTime now) {
  Similar& similar = similar_.Touch(group);
  if (now - similar.last > limits_.window) similar.messages.clear();
  similar.last = now;
  const std::size_t hash = std::hash<std::string>()(message);
  if (similar.messages.contains(hash)) return false;
  if (similar.messages.size() >= limits_.similar) return true;
  similar.messages.insert(hash);
  return false;
}

}  // namespace mayfly::kube
