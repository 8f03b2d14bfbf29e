#include "gateway/sources/cron/cron_timer.h"

#include <algorithm>
#include <utility>

#include "base/thread.h"

namespace mayfly::gateway {
namespace {

constexpr absl::Duration kLookAgain = absl::Seconds(30);

}  // namespace

CronTimer::CronTimer(const base::Clock& clock)
    : clock_(clock), thread_(base::StartThread("cron", [this](const std::stop_token& stop) { Run(stop); })) {}

CronTimer::Id CronTimer::Add(absl::Time at, std::function<absl::Time(absl::Time now)> call) {
  const std::lock_guard lock(mutex_);
  entries_[next_] = {at, std::move(call)};
  moved_ = true;
  changed_.notify_all();
  return next_++;
}

void CronTimer::Set(Id id, absl::Time at) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return;
  entry->second.at = std::min(entry->second.at, at);
  moved_ = true;
  changed_.notify_all();
}

void CronTimer::Remove(Id id) {
  std::unique_lock lock(mutex_);
  entries_.erase(id);
  changed_.wait(lock, [&] { return calling_ != id; });
}

absl::Time CronTimer::Earliest() const {
  absl::Time earliest = absl::InfiniteFuture();
  for (const auto& [id, entry] : entries_) earliest = std::min(earliest, entry.at);
  return earliest;
}

void CronTimer::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const absl::Time now = absl::FromChrono(clock_.WallNow());
    const auto due = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return entry.second.at <= now; });
    if (due == entries_.end()) {
      const absl::Time earliest = Earliest();
      const absl::Duration away = std::min(kLookAgain, earliest - now);
      const base::MonotonicTime until = clock_.Now() + (earliest == absl::InfiniteFuture()
                                                            ? std::chrono::nanoseconds(std::chrono::hours(24))
                                                            : absl::ToChronoNanoseconds(away));
      clock_.WaitUntil(lock, changed_, stop, until, [this] { return moved_; });
      moved_ = false;
      continue;
    }
    const Id id = due->first;
    const std::function<absl::Time(absl::Time)> call = due->second.call;
    due->second.at = absl::InfiniteFuture();
    calling_ = id;
    lock.unlock();
    const absl::Time next = call(now);
    lock.lock();
    calling_ = 0;
    // An instant that was set meanwhile is kept if it is earlier.
    if (const auto entry = entries_.find(id); entry != entries_.end())
      entry->second.at = std::min(entry->second.at, next);
    changed_.notify_all();
  }
}

}  // namespace mayfly::gateway
