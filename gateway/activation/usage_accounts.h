// UsageAccounts is what one function's invocations have cost at this gateway, by the trigger that they came by.
//
// The figures are the replicas' own (see Metering), and only grow. An invocation that a replica surely did not start
// costs nothing and is not counted; one whose caller has gone is, when the replica says what it took.
//
// Not thread-safe: guarded by the function's mutex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "gateway/metering/usage_record.h"
#include "mayfly/v1/control.pb.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

class UsageAccounts {
 public:
  // How many triggers have an account of their own; those of more, of a function whose manifest changes without end,
  // share the account of invocations by name.
  static constexpr std::size_t kMost = 64;

  // The number of `trigger`'s account, opened at its first invocation.
  std::uint32_t Of(base::Metrics& metrics, const std::string& function, const std::string& trigger);
  // REQUIRES: `account` came from Of().
  void Charge(std::uint32_t account, const v1::Result& result);
  void FillIn(v1::Demand& demand) const;
  // What was charged since the last call, by trigger.
  std::vector<std::pair<std::string, UsageSums>> TakeCharges();

 private:
  struct Account {
    v1::TriggerUsage usage;
    UsageSums charged;  // and not taken
    prometheus::Counter& invocations;
    prometheus::Counter& wall;
    prometheus::Counter& cpu;
    prometheus::Counter& memory;
  };

  std::deque<Account> accounts_;
};

}  // namespace mayfly::gateway
