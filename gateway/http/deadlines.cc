#include "gateway/http/deadlines.h"

#include <algorithm>

namespace mayfly::gateway {

void Deadlines::Set(DeadlineTarget& target, std::int64_t deadline_ms) {
  target.deadline_ms_ = deadline_ms;
  if (deadline_ms == 0) return;
  if (target.position_ != DeadlineTarget::kNowhere) {
    if (target.due_tick_ <= deadline_ms / kTickMs + 1) return;
    Remove(target);
    target.deadline_ms_ = deadline_ms;
  }
  Insert(target);
}

void Deadlines::Insert(DeadlineTarget& target) {
  const std::int64_t furthest = tick_ + static_cast<std::int64_t>(kSlots) - 1;
  target.due_tick_ = std::clamp(target.deadline_ms_ / kTickMs + 1, tick_ + 1, furthest);
  auto& slot = slots_[static_cast<std::size_t>(target.due_tick_) % kSlots];
  target.position_ = slot.size();
  slot.push_back(&target);
}

void Deadlines::Remove(DeadlineTarget& target) {
  target.deadline_ms_ = 0;
  if (target.position_ == DeadlineTarget::kNowhere) return;
  auto& slot = slots_[static_cast<std::size_t>(target.due_tick_) % kSlots];
  slot.back()->position_ = target.position_;
  slot[target.position_] = slot.back();
  slot.pop_back();
  target.position_ = DeadlineTarget::kNowhere;
}

void Deadlines::Advance(std::int64_t now_ms) {
  while (tick_ < now_ms / kTickMs) {
    ++tick_;
    auto& slot = slots_[static_cast<std::size_t>(tick_) % kSlots];
    // Targets leave one by one, so that one that removes others while it is called finds a true slot.
    while (!slot.empty()) {
      DeadlineTarget& target = *slot.back();
      slot.pop_back();
      target.position_ = DeadlineTarget::kNowhere;
      if (target.deadline_ms_ == 0) continue;
      if (target.deadline_ms_ > now_ms) {
        Insert(target);
        continue;
      }
      target.deadline_ms_ = 0;
      target.OnDeadline(now_ms);
    }
  }
}

}  // namespace mayfly::gateway
