// What gateways say of the triggers that bring events: which of them get none, and why, in their sources' own words. Of a trigger
// that is leased it counts what is said by the newest lease.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "mayfly/v1/control.pb.h"

namespace mayfly::op {

struct TriggerProblem {
  std::string trigger;
  std::string message;
};

class TriggerHealth {
 public:
  // Takes in a report. Returns the functions of which it says something new.
  std::vector<std::string> Observe(const v1::GatewayReport& report);

  // The triggers of `function` that get no events, by name. A trigger that works at one gateway works.
  std::vector<TriggerProblem> Problems(const std::string& function) const;

  // Whether any gateway has said anything of it.
  bool Heard(const std::string& function, const std::string& trigger) const;

 private:
  struct Said {
    std::string problem;  // "": it works there
    std::uint64_t epoch = 0;
    bool operator==(const Said&) const = default;
  };
  // By trigger, then by gateway.
  using Triggers = std::map<std::string, std::map<std::string, Said>>;

  mutable std::mutex mutex_;
  std::map<std::string, Triggers> functions_;  // guarded by mutex_
};

}  // namespace mayfly::op
