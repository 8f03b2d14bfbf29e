#include "operator/autoscaler/service_time.h"

#include <algorithm>
#include <cmath>

namespace mayfly::op {
namespace {

constexpr double kHalfLifeSeconds = 10;
// Of what has faded to less nothing is left to know.
constexpr double kFewestEnded = 1e-3;

}  // namespace

void ServiceTime::Learn(const TickLoad& tick) {
  running_ = static_cast<double>(tick.running);
  // An idle function keeps what was learnt: it fades only as other knowledge comes.
  if (tick.busy <= 0 && tick.ended == 0) return;
  const double fade = std::exp2(-tick.seconds / kHalfLifeSeconds);
  ended_ = ended_ * fade + static_cast<double>(tick.ended);
  ended_seconds_ = ended_seconds_ * fade + tick.ended_seconds;
  busy_seconds_ = busy_seconds_ * fade + tick.busy * tick.seconds;
}

std::optional<double> ServiceTime::seconds() const {
  if (ended_ < kFewestEnded) return std::nullopt;
  return std::max(ended_seconds_ / ended_, busy_seconds_ / (ended_ + running_));
}

double ServiceTime::Demand(const TickLoad& tick, std::chrono::nanoseconds drain) const {
  const double all = tick.busy + tick.held;
  const std::optional<double> time = seconds();
  if (!time || tick.seconds <= 0) return all;
  const double arrivals = static_cast<double>(tick.arrived) / tick.seconds;
  const double needed = (arrivals + tick.held / std::chrono::duration<double>(drain).count()) * *time;
  return std::clamp(needed, tick.busy, all);
}

}  // namespace mayfly::op
