// A ReportMerger holds what is to be told to the operator: the newest demand of each function, what is so
// of each trigger, the leases that are held, and the newest confirmation.
//
// Bounded by the number of functions, however long nobody listens, if those that are gone are forgotten. Not thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

class ReportMerger {
 public:
  // How many functions one report tells of.
  static constexpr std::size_t kFunctionsPerReport = 2000;

  explicit ReportMerger(const std::string& gateway);

  // Takes in what is newer.
  void Add(const v1::GatewayReport& report);
  // Whoever listens now has heard nothing: every demand that is not zero, every trigger, what every function has cost
  // so far, and what is held by leases, is to be told again.
  void StartAnew();
  // A function that is gone needs no telling again, once it wants nothing.
  void Forget(const std::string& function);
  // The same of all functions that `update`, a snapshot, does not have.
  void KeepOnly(const v1::RouteUpdate& update);
  // Whether there is anything to tell.
  bool pending() const { return pending_; }
  // What is to be told; of many functions there may be more, unless `all`.
  v1::GatewayReport Take(bool all = false);

 private:
  v1::GatewayReport next_;                    // all but the demand
  std::map<std::string, v1::Demand> news_;    // by function
  std::map<std::string, v1::Demand> wanted_;  // the last demand that says something, by function
  // By function and trigger: what is to be told, and the last of each.
  std::map<std::pair<std::string, std::string>, v1::TriggerReport> trigger_news_;
  std::map<std::pair<std::string, std::string>, v1::TriggerReport> triggers_;
  // Once anything was said of leases: what is held, with the last probe, which counts from when it was made.
  v1::HeldLeases leases_;
  std::uint64_t probe_ = 0;
  bool has_leases_ = false;
  bool leases_news_ = false;
  bool pending_ = true;  // the first report tells the gateway's name
};

}  // namespace mayfly::gateway
