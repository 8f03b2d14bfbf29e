// A Meter adds up what every function has used, from what gateways report of it.
//
// Gateways report what they have counted since they started, again and again; the Meter adds what is new. How much of
// each gateway's count is in a function's Usage stands in the Usage itself (UsageMark), which the cluster keeps: an
// operator that starts takes up both, so what was counted while no operator led is added, and nothing is added twice.
// A gateway that starts anew counts from zero, under another instance. What is lost is what a gateway had not reported
// when it died: a tenth of a second's.
//
// It also says when a usage that grew is to be written: not before kWriteEvery since the function's last write, and
// not more than kWritesPerSecond of all functions together, so that ten thousand busy functions do not keep the API
// server busy too. Metrics know it faster.
//
// Thread-safe; no call blocks.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "mayfly/v1/control.pb.h"
#include "operator/api/function.h"

namespace mayfly::op {

class Meter {
 public:
  static constexpr std::chrono::seconds kWriteEvery{30};
  // After a function's first invocation in a while, so that a burst is one write.
  static constexpr std::chrono::seconds kGather{2};
  static constexpr int kWritesPerSecond = 10;
  // How long the mark of a gateway that went without a goodbye is kept: it may only be cut off.
  static constexpr std::chrono::hours kKeepMarks{24};
  static constexpr std::size_t kMostMarks = 50;

  // `clock` must outlive the meter.
  explicit Meter(const base::Clock& clock) : clock_(clock), started_(clock.Now()), next_write_(started_) {}

  struct Due {
    std::string function;
    base::MonotonicTime at;
  };

  // Takes in a gateway's report. Returns the functions whose usage is to be written from now on, and when.
  std::vector<Due> Observe(const v1::GatewayReport& report);

  // Begins to meter `function`, with what was written of it. Once, before its usage is asked. What gateways have said
  // already counts unless the function is new: then it was said of an earlier one of its name.
  void Restore(const std::string& function, const std::optional<Usage>& written, bool is_new);
  void Forget(const std::string& function);

  // Nothing if the function was never invoked as far as is known, or is not metered.
  std::optional<Usage> Of(const std::string& function) const;
  // When the function's usage is to be written; nothing if it has not grown since it was.
  std::optional<base::MonotonicTime> WriteAt(const std::string& function) const;
  // `usage` is written. Returns when the next is to be, if it has grown meanwhile.
  std::optional<base::MonotonicTime> Written(const std::string& function, const std::optional<Usage>& usage);

 private:
  struct Sums {
    std::int64_t invocations = 0;
    std::int64_t wall_us = 0;
    std::int64_t cpu_us = 0;
    std::int64_t memory_kb_ms = 0;
  };
  // What a gateway said last.
  struct Reading {
    std::string instance;
    std::uint64_t life = 0;
    Sums sums;
  };
  struct Entry {
    bool restored = false;
    base::MonotonicTime made{};
    Sums total;
    bool known = false;                       // it was invoked, or its usage was written before
    std::map<std::string, Reading> readings;  // by gateway; not yet in `total` unless restored
    std::int64_t written_invocations = 0;
    std::optional<base::MonotonicTime> written_at;
    std::optional<base::MonotonicTime> write_at;
  };

  static Sums SumOf(const v1::Demand& demand);
  // All REQUIRE mutex_ held.
  void Take(Entry& entry, const std::string& gateway, Reading reading);
  void Schedule(Entry& entry, base::MonotonicTime now);
  void Prune(Entry& entry, base::MonotonicTime now);
  void DropStrangers(base::MonotonicTime now);

  const base::Clock& clock_;
  const base::MonotonicTime started_;

  mutable std::mutex mutex_;
  // All guarded by mutex_:
  std::unordered_map<std::string, Entry> entries_;
  std::size_t strangers_ = 0;  // entries that are not restored
  struct Gateway {
    std::optional<base::MonotonicTime> left;
    bool said_goodbye = false;
  };
  std::map<std::string, Gateway> gateways_;
  base::MonotonicTime next_write_;
};

}  // namespace mayfly::op
