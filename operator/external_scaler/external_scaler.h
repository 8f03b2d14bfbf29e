// An ExternalScaler answers KEDA's questions about a Function from the demand that Decide() goes by.
//
// A ScaledObject names a Function of its own namespace, in its trigger's metadata. For each there is one metric of what
// runs and waits, and one for every trigger that brings events:
//
//   concurrency       concurrent invocations by their worth (service_time.h): the larger of the stable and the burst
//                     mean, or what is there now while the function has no replica. The target is what one replica should
//                     have: concurrency × targetUtilization.
//   backlog-TRIGGER   events that wait at its source or are not settled. The target is its backlogPerReplica.
//
// What is not known is an error (UNAVAILABLE), never 0: KEDA, and the HPA it makes, then leave the number as it is.
// A function is active while anything runs or waits, and until scaleToZeroAfter later. Its floor does not make it so: KEDA may have set that.
//
// Thread-safe; no call blocks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "operator/autoscaler/scaler.h"

namespace mayfly::op {

class ExternalScaler {
 public:
  static constexpr char kConcurrency[] = "concurrency";
  static constexpr char kBacklog[] = "backlog-";

  struct Metric {
    std::string name;
    double target = 1;
  };

  // Both must outlive it.
  ExternalScaler(const Scaler& scaler, const base::Clock& clock) : scaler_(scaler), clock_(clock) {}

  // `function` is "namespace/name". kNotFound if there is no such Function, kUnavailable if what is asked is not known.
  absl::StatusOr<bool> IsActive(const std::string& function) const;
  absl::StatusOr<std::vector<Metric>> Metrics(const std::string& function) const;
  // kInvalidArgument if the function has no such metric.
  absl::StatusOr<double> Value(const std::string& function, const std::string& metric) const;

 private:
  absl::StatusOr<ScalerView> Look(const std::string& function) const;

  const Scaler& scaler_;
  const base::Clock& clock_;
};

}  // namespace mayfly::op
