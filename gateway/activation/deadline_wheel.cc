#include "gateway/activation/deadline_wheel.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <vector>

#include "base/thread.h"

namespace mayfly::gateway {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

}  // namespace

DeadlineWheel::DeadlineWheel(const base::Clock& clock)
    : clock_(clock),
      start_(clock.Now()),
      wake_at_(kNever),
      thread_(base::StartThread("gw-deadlines", [this](const std::stop_token& stop) { Run(stop); })) {}

DeadlineWheel::~DeadlineWheel() {
  thread_.request_stop();
  thread_.join();
  assert(armed_ == 0);
}

std::int64_t DeadlineWheel::TickAtOrAfter(base::MonotonicTime at) const {
  const auto since = std::max(at - start_, base::MonotonicTime::duration::zero());
  return (since + kTick - base::MonotonicTime::duration(1)) / kTick;
}

void DeadlineWheel::Arm(Timer& timer, base::MonotonicTime at) {
  const std::int64_t wanted = TickAtOrAfter(at);
  const std::lock_guard lock(mutex_);
  if (timer.tick_ >= 0) Unlink(timer);
  // A tick that has been looked at will not be looked at again this turn.
  timer.tick_ = std::max(wanted, passed_ + 1);
  Timer*& head = lists_[static_cast<std::size_t>(timer.tick_) % kLists];
  timer.previous_ = nullptr;
  timer.next_ = head;
  if (head != nullptr) head->previous_ = &timer;
  head = &timer;
  ++armed_;
  if (timer.tick_ < wake_at_) {
    wake_at_ = timer.tick_;
    earlier_.notify_one();
  }
}

void DeadlineWheel::Disarm(Timer& timer) {
  const std::lock_guard lock(mutex_);
  if (timer.tick_ >= 0) Unlink(timer);
}

void DeadlineWheel::Unlink(Timer& timer) {
  if (timer.previous_ != nullptr) {
    timer.previous_->next_ = timer.next_;
  } else {
    lists_[static_cast<std::size_t>(timer.tick_) % kLists] = timer.next_;
  }
  if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
  timer.tick_ = -1;
  --armed_;
}

std::int64_t DeadlineWheel::NextTick() const {
  if (armed_ == 0) return kNever;
  for (std::int64_t tick = passed_ + 1; tick <= passed_ + static_cast<std::int64_t>(kLists); ++tick) {
    if (lists_[static_cast<std::size_t>(tick) % kLists] != nullptr) return tick;
  }
  return kNever;
}

void DeadlineWheel::Run(const std::stop_token& stop) {
  std::vector<std::shared_ptr<Timer>> due;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_at_ = NextTick();
    const std::int64_t target = wake_at_;
    const base::MonotonicTime until =
        target == kNever ? clock_.Now() + std::chrono::hours(1) : TimeOf(target);
    if (clock_.WaitUntil(lock, earlier_, stop, until, [&] { return wake_at_ < target; })) continue;
    const std::int64_t now = (clock_.Now() - start_) / kTick;
    // After a long pause one turn of the wheel is enough to see every list.
    const std::int64_t first = std::max(passed_ + 1, now - static_cast<std::int64_t>(kLists) + 1);
    for (std::int64_t tick = first; tick <= now; ++tick) {
      Timer* timer = lists_[static_cast<std::size_t>(tick) % kLists];
      while (timer != nullptr) {
        Timer* const next = timer->next_;
        if (timer->tick_ <= now) {
          due.push_back(timer->Keep());
          Unlink(*timer);
        }
        timer = next;
      }
    }
    passed_ = std::max(passed_, now);
    if (due.empty()) continue;
    lock.unlock();
    for (const auto& timer : due) timer->OnDeadline();
    due.clear();
    lock.lock();
  }
}

}  // namespace mayfly::gateway
