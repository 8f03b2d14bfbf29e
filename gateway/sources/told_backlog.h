// What a source has told of its backlog, and when it may tell again: at once when it leaves zero or is known no longer,
// otherwise ten times a second.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "gateway/sources/backlog.h"

namespace mayfly::gateway {

class ToldBacklog {
 public:
  static constexpr std::chrono::milliseconds kEvery{100};

  // Whether `backlog` is to be told now; if so, it counts as told.
  bool Take(const Backlog& backlog, base::MonotonicTime now) {
    const auto due = Due(backlog);
    if (!due || now < *due) return false;
    told_ = backlog;
    at_ = now;
    return true;
  }
  // When `backlog` is to be told; nothing if it has been.
  std::optional<base::MonotonicTime> Due(const Backlog& backlog) const {
    if (told_ == backlog) return std::nullopt;
    const bool urgent = !told_ || told_->kind != backlog.kind || told_->value == 0;
    return urgent ? base::MonotonicTime{} : at_ + kEvery;
  }

 private:
  std::optional<Backlog> told_;
  base::MonotonicTime at_{};
};

}  // namespace mayfly::gateway
