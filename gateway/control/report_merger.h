// A ReportMerger holds what is to be told to the operator: the newest demand of each function, and the newest
// confirmation.
//
// Bounded by the number of functions, however long nobody listens. Not thread-safe.
#pragma once

#include <map>
#include <string>

#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

class ReportMerger {
 public:
  explicit ReportMerger(const std::string& gateway);

  // Takes in what is newer.
  void Add(const v1::GatewayReport& report);
  // Whoever listens now has heard nothing: all that is not zero is to be told again.
  void StartAnew();
  // Whether there is anything to tell.
  bool pending() const { return pending_; }
  // All that is to be told.
  v1::GatewayReport Take();

 private:
  v1::GatewayReport next_;                    // all but the demand
  std::map<std::string, v1::Demand> news_;    // by function
  std::map<std::string, v1::Demand> wanted_;  // the last demand that was not zero, by function
  bool pending_ = true;                       // the first report tells the gateway's name
};

}  // namespace mayfly::gateway
