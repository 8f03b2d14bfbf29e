#include "operator/controller/work_queue.h"

#include <algorithm>
#include <cassert>

namespace mayfly::op {

WorkQueue::WorkQueue(const base::Clock& clock, Backoff backoff) : clock_(clock), backoff_(backoff) {}

void WorkQueue::Add(const std::string& key) {
  std::lock_guard lock(mutex_);
  AddLocked(key);
}

void WorkQueue::AddAfter(const std::string& key, std::chrono::nanoseconds delay) {
  std::lock_guard lock(mutex_);
  AddAfterLocked(key, delay);
}

void WorkQueue::AddWithBackoff(const std::string& key) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[key];
  const int doublings = std::min(entry.failures++, 30);
  std::chrono::nanoseconds delay = backoff_.longest;
  if (backoff_.first.count() < (backoff_.longest.count() >> doublings))
    delay = backoff_.first * (1LL << doublings);
  std::uniform_real_distribution<double> share(0.5, 1.0);
  AddAfterLocked(key, std::chrono::nanoseconds(
                          static_cast<std::int64_t>(static_cast<double>(delay.count()) * share(random_))));
}

void WorkQueue::Forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end()) return;
  found->second.failures = 0;
  DropIfIdleLocked(key);
}

std::optional<std::string> WorkQueue::TryTake() {
  std::lock_guard lock(mutex_);
  return TryTakeLocked(clock_.Now());
}

std::optional<std::string> WorkQueue::Take(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const base::MonotonicTime now = clock_.Now();
    if (auto key = TryTakeLocked(now)) return key;
    const auto due = delayed_.empty() ? now + std::chrono::hours(1) : delayed_.begin()->first;
    clock_.WaitUntil(lock, changed_, stop, due,
                     [&] { return !ready_.empty() || (!delayed_.empty() && delayed_.begin()->first < due); });
  }
  return std::nullopt;
}

void WorkQueue::Done(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  assert(found != entries_.end() && found->second.working);
  found->second.working = false;
  if (std::exchange(found->second.again, false)) {
    AddLocked(key);
  } else {
    DropIfIdleLocked(key);
  }
}

std::size_t WorkQueue::depth() const {
  std::lock_guard lock(mutex_);
  return ready_.size();
}

std::optional<base::MonotonicTime> WorkQueue::next_due() const {
  std::lock_guard lock(mutex_);
  if (delayed_.empty()) return std::nullopt;
  return delayed_.begin()->first;
}

void WorkQueue::AddLocked(const std::string& key) {
  Entry& entry = entries_[key];
  if (entry.due) {
    delayed_.erase({*entry.due, key});
    entry.due.reset();
  }
  if (entry.working) {
    entry.again = true;
    return;
  }
  if (entry.queued) return;
  entry.queued = true;
  ready_.push_back(key);
  changed_.notify_one();
}

void WorkQueue::AddAfterLocked(const std::string& key, std::chrono::nanoseconds delay) {
  if (delay.count() <= 0) return AddLocked(key);
  Entry& entry = entries_[key];
  if (entry.queued || entry.again) return;
  const base::MonotonicTime due = clock_.Now() + delay;
  if (entry.due) {
    if (*entry.due <= due) return;
    delayed_.erase({*entry.due, key});
  }
  entry.due = due;
  delayed_.emplace(due, key);
  // Only one that waits with a later deadline must look again; which one that is, nobody knows.
  if (delayed_.begin()->second == key) changed_.notify_all();
}

void WorkQueue::PromoteDueLocked(base::MonotonicTime now) {
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    const std::string key = delayed_.begin()->second;
    AddLocked(key);  // takes it out of delayed_
  }
}

void WorkQueue::DropIfIdleLocked(const std::string& key) {
  auto found = entries_.find(key);
  if (found == entries_.end()) return;
  const Entry& entry = found->second;
  if (!entry.queued && !entry.working && !entry.due && entry.failures == 0) entries_.erase(found);
}

std::optional<std::string> WorkQueue::TryTakeLocked(base::MonotonicTime now) {
  PromoteDueLocked(now);
  if (ready_.empty()) return std::nullopt;
  std::string key = std::move(ready_.front());
  ready_.pop_front();
  Entry& entry = entries_[key];
  entry.queued = false;
  entry.working = true;
  return key;
}

}  // namespace mayfly::op
