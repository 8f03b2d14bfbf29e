#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/metrics.h"
#include "mayfly/v1/control.pb.h"
#include "operator/autoscaler/scaler.h"
#include "operator/simulation/policy.h"

namespace mayfly::op {
namespace {

constexpr char kFunction[] = "simulated/function";
constexpr SimSeconds kReportEvery = 0.1;

// The time of a simulation. Nobody waits for it.
class SimulatedClock final : public base::Clock {
 public:
  explicit SimulatedClock(base::WallTime start) : start_(start) {}

  base::MonotonicTime Now() const override { return base::MonotonicTime(kBegin + passed_); }
  base::WallTime WallNow() const override {
    return start_ + std::chrono::duration_cast<base::WallTime::duration>(passed_);
  }
  bool WaitUntil(std::unique_lock<std::mutex>&, std::condition_variable_any&, std::stop_token,
                 base::MonotonicTime, const std::function<bool()>& wake) const override {
    return wake();
  }
  void MoveTo(std::chrono::nanoseconds passed) { passed_ = std::max(passed_, passed); }

 private:
  static constexpr std::chrono::hours kBegin{1};
  const base::WallTime start_;
  std::chrono::nanoseconds passed_{0};
};

class MayflyPolicy final : public ScalingPolicy {
 public:
  MayflyPolicy(const ScalingSpec& spec, base::WallTime start)
      : clock_(start), scaler_(clock_, metrics_, ScalingRules()) {
    Report({});
    desired_ = scaler_.Configure(kFunction, spec);
  }

  std::string_view name() const override { return "mayfly"; }
  SimSeconds period() const override { return kReportEvery; }

  std::int32_t OnDemand(SimSeconds now, const SimDemand& demand) override {
    MoveTo(now);
    Report(demand);
    return Desired();
  }

  std::int32_t Look(SimSeconds now, const SimDemand& demand, double, std::int32_t) override {
    MoveTo(now);
    Report(demand);
    if (++looks_ % kLooksPerTick == 0) scaler_.Tick();
    return Desired();
  }

 private:
  static constexpr int kLooksPerTick = 10;

  void MoveTo(SimSeconds now) { clock_.MoveTo(std::chrono::nanoseconds(std::llround(now * 1e9))); }
  void Report(const SimDemand& demand) {
    v1::GatewayReport report;
    report.set_gateway("simulated");
    v1::Demand& entry = *report.add_demand();
    entry.set_function(kFunction);
    entry.set_busy(static_cast<std::uint32_t>(demand.busy));
    entry.set_held(static_cast<std::uint32_t>(demand.held));
    entry.set_accepted_total(demand.taken);
    v1::TriggerUsage& usage = *entry.add_usage();
    usage.set_invocations(demand.ended);
    usage.set_wall_us(static_cast<std::uint64_t>(std::llround(demand.ended_seconds * 1e6)));
    scaler_.Observe(report);
  }
  std::int32_t Desired() {
    if (const std::optional<Decision> latest = scaler_.Latest(kFunction)) desired_ = latest->desired;
    return desired_;
  }

  SimulatedClock clock_;
  base::Metrics metrics_;
  Scaler scaler_;
  int looks_ = 0;
  std::int32_t desired_ = 0;
};

}  // namespace

std::unique_ptr<ScalingPolicy> MakeMayflyPolicy(const ScalingSpec& spec, base::WallTime start) {
  return std::make_unique<MayflyPolicy>(spec, start);
}

}  // namespace mayfly::op
