#include "gateway/delivery/event_queue.h"

#include <algorithm>
#include <iterator>

namespace mayfly::gateway {

PendingEvent& EventQueue::Add(std::unique_ptr<PendingEvent> event, base::MonotonicTime now) {
  event->number = next_++;
  event->ready = now;
  bytes_ += event->body.size();
  if (!event->dedup_key.empty()) by_key_[event->dedup_key] = event->number;
  PendingEvent& added = *event;
  events_.emplace_hint(events_.end(), added.number, std::move(event));
  if (added.lane.empty()) {
    ready_.insert(ready_.end(), added.number);
  } else {
    lanes_[added.lane].waiting.push_back(added.number);
    Place(added.lane, now);
  }
  return added;
}

void EventQueue::Place(const std::string& name, base::MonotonicTime now) {
  Lane& lane = lanes_.at(name);
  if (lane.due) delayed_lanes_.erase({*lane.due, name});
  lane.due.reset();
  const bool idle = lane.running == 0 && !lane.waiting.empty();
  const base::MonotonicTime due = idle ? events_.at(lane.waiting.front())->ready : base::MonotonicTime();
  const bool ready = idle && due <= now;
  if (lane.listed && !ready) ready_lanes_.remove(name);
  if (!lane.listed && ready) ready_lanes_.push_back(name);
  lane.listed = ready;
  if (idle && !ready) {
    lane.due = due;
    delayed_lanes_.emplace(due, name);
  }
  if (lane.running == 0 && lane.waiting.empty()) lanes_.erase(name);
}

void EventQueue::Wake(base::MonotonicTime now) {
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    ready_.insert(delayed_.begin()->second);
    delayed_.erase(delayed_.begin());
  }
  while (!delayed_lanes_.empty() && delayed_lanes_.begin()->first <= now) {
    const std::string name = delayed_lanes_.begin()->second;
    Place(name, now);
  }
}

std::optional<base::MonotonicTime> EventQueue::OldestReady() const {
  std::optional<base::MonotonicTime> oldest;
  const auto look = [&](Number number) {
    const base::MonotonicTime ready = events_.at(number)->ready;
    if (!oldest || ready < *oldest) oldest = ready;
  };
  if (!ready_.empty()) look(*ready_.begin());
  if (!ready_lanes_.empty()) look(lanes_.at(ready_lanes_.front()).waiting.front());
  return oldest;
}

bool EventQueue::Full(const BatchLimits& limits) const {
  std::size_t count = ready_.size();
  for (auto lane = ready_lanes_.begin(); lane != ready_lanes_.end() && count < limits.most; ++lane)
    count += lanes_.at(*lane).waiting.size();
  return count >= limits.most;
}

bool EventQueue::Fits(const PendingEvent& event, const std::vector<PendingEvent*>& batch, std::size_t bytes,
                      const BatchLimits& limits) {
  return batch.empty() ||
         (!event.alone && batch.size() < limits.most && bytes + event.body.size() <= limits.most_bytes);
}

void EventQueue::TakeOne(PendingEvent& event, std::vector<PendingEvent*>* batch, std::size_t* bytes) {
  event.running = true;
  ++running_;
  *bytes += event.body.size();
  batch->push_back(&event);
}

std::vector<PendingEvent*> EventQueue::Take(const BatchLimits& limits, base::MonotonicTime now) {
  Wake(now);
  std::vector<PendingEvent*> batch;
  const std::optional<base::MonotonicTime> oldest = OldestReady();
  if (!oldest) return batch;
  if (limits.most > 1 && now < *oldest + limits.window && !Full(limits)) return batch;
  std::size_t bytes = 0;
  while (!ready_.empty()) {
    PendingEvent& event = *events_.at(*ready_.begin());
    if (!Fits(event, batch, bytes, limits)) break;
    ready_.erase(ready_.begin());
    TakeOne(event, &batch, &bytes);
    if (event.alone || batch.size() >= limits.most) return batch;
  }
  // What no batch has room for any more goes next time.
  if (!ready_.empty() && !batch.empty()) return batch;
  while (!ready_lanes_.empty()) {
    const std::string name = ready_lanes_.front();
    Lane& lane = lanes_.at(name);
    bool last = false;
    while (!lane.waiting.empty()) {
      PendingEvent& event = *events_.at(lane.waiting.front());
      if (!Fits(event, batch, bytes, limits)) {
        last = true;
        break;
      }
      lane.waiting.pop_front();
      ++lane.running;
      TakeOne(event, &batch, &bytes);
      if (event.alone || batch.size() >= limits.most) {
        last = true;
        break;
      }
    }
    if (lane.running == 0) break;
    ready_lanes_.pop_front();
    lane.listed = false;
    if (last) break;
  }
  return batch;
}

void EventQueue::PutBack(PendingEvent& event, base::MonotonicTime due, base::MonotonicTime now) {
  event.running = false;
  event.ready = due;
  --running_;
  if (event.lane.empty()) {
    delayed_.emplace(due, event.number);
    return;
  }
  Lane& lane = lanes_.at(event.lane);
  --lane.running;
  lane.waiting.insert(std::lower_bound(lane.waiting.begin(), lane.waiting.end(), event.number), event.number);
  Place(event.lane, now);
}

std::unique_ptr<PendingEvent> EventQueue::Remove(PendingEvent& event, base::MonotonicTime now) {
  const auto found = events_.find(event.number);
  std::unique_ptr<PendingEvent> removed = std::move(found->second);
  events_.erase(found);
  bytes_ -= removed->body.size();
  if (const auto key = by_key_.find(removed->dedup_key);
      key != by_key_.end() && key->second == removed->number)
    by_key_.erase(key);
  if (removed->running) --running_;
  if (removed->lane.empty()) {
    if (!removed->running) {
      ready_.erase(removed->number);
      delayed_.erase({removed->ready, removed->number});
    }
    return removed;
  }
  Lane& lane = lanes_.at(removed->lane);
  if (removed->running) {
    --lane.running;
  } else {
    std::erase(lane.waiting, removed->number);
  }
  Place(removed->lane, now);
  return removed;
}

std::optional<base::MonotonicTime> EventQueue::NextChange(const BatchLimits& limits,
                                                          base::MonotonicTime now) {
  Wake(now);
  std::optional<base::MonotonicTime> next;
  const auto at = [&](base::MonotonicTime time) {
    if (!next || time < *next) next = time;
  };
  if (const auto oldest = OldestReady())
    at(limits.most > 1 && !Full(limits) ? std::max(now, *oldest + limits.window) : now);
  if (!delayed_.empty()) at(delayed_.begin()->first);
  if (!delayed_lanes_.empty()) at(delayed_lanes_.begin()->first);
  return next;
}

PendingEvent* EventQueue::Find(Number number) const {
  const auto found = events_.find(number);
  return found == events_.end() ? nullptr : found->second.get();
}

PendingEvent* EventQueue::FindDuplicate(const std::string& dedup_key) const {
  const auto found = by_key_.find(dedup_key);
  return found == by_key_.end() ? nullptr : Find(found->second);
}

std::vector<PendingEvent*> EventQueue::All() {
  std::vector<PendingEvent*> all;
  all.reserve(events_.size());
  for (const auto& [number, event] : events_) all.push_back(event.get());
  return all;
}

}  // namespace mayfly::gateway
