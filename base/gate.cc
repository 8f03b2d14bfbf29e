#include "base/gate.h"

#include <cassert>

namespace mayfly::base {

void Gate::Pass::Leave() {
  Gate* gate = std::exchange(gate_, nullptr);
  if (gate == nullptr) return;
  std::lock_guard lock(gate->mutex_);
  // Notified under the lock: the waiter may destroy the gate as soon as it sees zero.
  if (--gate->inside_ == 0) gate->empty_.notify_all();
}

Gate::~Gate() { assert(inside_ == 0); }

Gate::Pass Gate::Enter() {
  std::lock_guard lock(mutex_);
  if (closed_) return Pass();
  ++inside_;
  return Pass(this);
}

void Gate::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

bool Gate::WaitUntil(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return empty_.wait_until(lock, deadline, [this] { return inside_ == 0; });
}

std::size_t Gate::inside() const {
  std::lock_guard lock(mutex_);
  return inside_;
}

}  // namespace mayfly::base
