#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>

#include "operator/simulation/policy.h"

namespace mayfly::op {
namespace {

std::int32_t Ceil(double replicas) { return static_cast<std::int32_t>(std::ceil(replicas - 1e-9)); }

struct Mean {
  SimSeconds at = 0;
  double demand = 0;
};

// The mean of what came within the last `window`.
double MeanOf(const std::deque<Mean>& means, SimSeconds now, SimSeconds window) {
  double sum = 0;
  int count = 0;
  for (auto mean = means.rbegin(); mean != means.rend() && mean->at > now - window; ++mean, ++count)
    sum += mean->demand;
  return count == 0 ? 0 : sum / count;
}

class KnativePolicy final : public ScalingPolicy {
 public:
  explicit KnativePolicy(const ScalingSpec& spec) : spec_(spec), desired_(spec.min_replicas) {}

  std::string_view name() const override { return "knative"; }
  SimSeconds period() const override { return 2; }

  // The activator tells the autoscaler at once when it begins to hold requests.
  std::int32_t OnDemand(SimSeconds now, const SimDemand&) override {
    last_demand_ = now;
    desired_ = std::max(desired_, Bounded(1));
    return desired_;
  }

  std::int32_t Look(SimSeconds now, const SimDemand& demand, double mean, std::int32_t ready) override {
    means_.push_back({now, mean});
    while (means_.front().at <= now - kStable) means_.pop_front();
    if (mean > 0 || demand.total() > 0) last_demand_ = now;
    const double stable = MeanOf(means_, now, kStable) / spec_.TargetPerReplica();
    const double panic = MeanOf(means_, now, kPanic) / spec_.TargetPerReplica();
    const double now_ready = std::max(1, ready);
    if (panic / now_ready >= kPanicThreshold) panic_since_ = now;
    if (panic_since_ && now - *panic_since_ > kStable) panic_since_.reset();
    const auto limited = [&](double want) {
      return std::clamp(want, std::floor(now_ready / kMostShrink), std::ceil(now_ready * kMostGrowth));
    };
    std::int32_t want = Ceil(limited(stable));
    if (panic_since_) {
      most_in_panic_ = std::max({most_in_panic_, want, Ceil(limited(panic))});
      want = most_in_panic_;
    } else {
      most_in_panic_ = 0;
    }
    if (want == 0 && now - last_demand_ < kStable + kGrace) want = desired_ > 0 ? 1 : 0;
    desired_ = Bounded(want);
    return desired_;
  }

 private:
  static constexpr SimSeconds kStable = 60, kPanic = 6, kGrace = 30;
  static constexpr double kPanicThreshold = 2, kMostGrowth = 1000, kMostShrink = 2;

  std::int32_t Bounded(std::int32_t want) const {
    return std::clamp(want, spec_.min_replicas, spec_.max_replicas);
  }

  const ScalingSpec spec_;
  std::deque<Mean> means_;
  std::optional<SimSeconds> panic_since_;
  std::int32_t most_in_panic_ = 0;
  SimSeconds last_demand_ = -1e9;
  std::int32_t desired_;
};

class HpaKedaPolicy final : public ScalingPolicy {
 public:
  explicit HpaKedaPolicy(const ScalingSpec& spec) : spec_(spec), desired_(spec.min_replicas) {}

  std::string_view name() const override { return "hpa-keda"; }
  SimSeconds period() const override { return 15; }

  // It polls.
  std::int32_t OnDemand(SimSeconds, const SimDemand&) override { return desired_; }

  std::int32_t Look(SimSeconds now, const SimDemand& demand, double, std::int32_t ready) override {
    ++looks_;
    if (demand.total() > 0) last_demand_ = now;
    if (desired_ == 0) {
      if (looks_ % kLooksPerPoll == 0 && demand.total() > 0) desired_ = Bounded(1);
      return desired_;
    }
    if (spec_.min_replicas == 0 && desired_ == 1 && demand.total() == 0 && now - last_demand_ >= kCooldown) {
      wanted_.clear();
      return desired_ = 0;
    }
    const double ratio = demand.total() / spec_.TargetPerReplica() / std::max(1, ready);
    std::int32_t want =
        std::abs(ratio - 1) <= kTolerance ? desired_ : Ceil(demand.total() / spec_.TargetPerReplica());
    want = std::max(1, Bounded(want));
    wanted_.push_back({now, static_cast<double>(want)});
    while (wanted_.front().at <= now - kStabilization) wanted_.pop_front();
    if (want > desired_) {
      desired_ = std::min(want, std::max(desired_ * 2, desired_ + 4));
    } else {
      double highest = 0;
      for (const Mean& earlier : wanted_) highest = std::max(highest, earlier.demand);
      desired_ = std::min(desired_, static_cast<std::int32_t>(highest));
    }
    return desired_;
  }

 private:
  static constexpr SimSeconds kCooldown = 300, kStabilization = 300;
  static constexpr double kTolerance = 0.1;
  static constexpr int kLooksPerPoll = 2;

  std::int32_t Bounded(std::int32_t want) const {
    return std::clamp(want, spec_.min_replicas, spec_.max_replicas);
  }

  const ScalingSpec spec_;
  std::deque<Mean> wanted_;
  SimSeconds last_demand_ = -1e9;
  int looks_ = 0;
  std::int32_t desired_;
};

}  // namespace

std::unique_ptr<ScalingPolicy> MakeKnativePolicy(const ScalingSpec& spec) {
  return std::make_unique<KnativePolicy>(spec);
}

std::unique_ptr<ScalingPolicy> MakeHpaKedaPolicy(const ScalingSpec& spec) {
  return std::make_unique<HpaKedaPolicy>(spec);
}

}  // namespace mayfly::op
