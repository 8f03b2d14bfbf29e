// Deadlines keeps the next deadline of each of very many connections, at the cost of a store per change.
//
// A wheel of slots of 100 ms: moving a deadline later only writes it down, and the slot that comes first puts
// the connection into a later one. So deadlines are met up to 100 ms late, never early.
//
// Belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mayfly::gateway {

// What can have a deadline. Times are monotonic milliseconds.
class DeadlineTarget {
 public:
  virtual ~DeadlineTarget() = default;
  virtual void OnDeadline(std::int64_t now_ms) = 0;

 private:
  friend class Deadlines;
  static constexpr std::size_t kNowhere = ~std::size_t{0};
  std::int64_t deadline_ms_ = 0;
  std::int64_t due_tick_ = 0;
  std::size_t position_ = kNowhere;
};

class Deadlines {
 public:
  static constexpr std::int64_t kTickMs = 100;

  explicit Deadlines(std::int64_t now_ms) : tick_(now_ms / kTickMs) {}

  // Calls target.OnDeadline() once `deadline_ms` has come; 0: never. Replaces what was set.
  void Set(DeadlineTarget& target, std::int64_t deadline_ms);
  // REQUIRES: called before a target that had a deadline is destroyed.
  void Remove(DeadlineTarget& target);
  // Calls every target whose deadline has come.
  void Advance(std::int64_t now_ms);

 private:
  static constexpr std::size_t kSlots = 512;

  void Insert(DeadlineTarget& target);

  std::array<std::vector<DeadlineTarget*>, kSlots> slots_;
  std::int64_t tick_;
};

}  // namespace mayfly::gateway
