#include "operator/simulation/simulation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <queue>

namespace mayfly::op {
namespace {

constexpr SimSeconds kFlapWithin = 60;
// After the last arrival, for replicas to leave.
constexpr SimSeconds kTail = 600;

struct Replica {
  bool ready = false;
  bool leaving = false;
  std::int32_t busy = 0;
  SimSeconds since = 0;  // it costs
  bool gone = false;
};

struct Event {
  enum class Kind { kReady, kDone };
  SimSeconds at = 0;
  Kind kind = Kind::kDone;
  std::size_t replica = 0;
  SimSeconds seconds = 0;  // how long what is done has run
  bool operator>(const Event& other) const { return at > other.at; }
};

class Run {
 public:
  Run(const Workload& workload, ScalingPolicy& policy, const SimOptions& options)
      : workload_(workload), policy_(policy), options_(options) {}

  SimResult Do() {
    SimSeconds look_at = policy_.period(), moment_at = 1;
    std::size_t next = 0;
    Want(0, policy_.Look(0, demand_, 0, 0));
    const SimSeconds end = workload_.length + kTail;
    while (true) {
      const SimSeconds arrival = next < workload_.requests.size() ? workload_.requests[next].at : end;
      const SimSeconds event = events_.empty() ? end : events_.top().at;
      const SimSeconds at = std::min({arrival, event, look_at, moment_at, end});
      Pass(at);
      if (at >= end) break;
      if (event == at) {
        const Event happened = events_.top();
        events_.pop();
        Happen(happened);
      } else if (arrival == at) {
        Arrive(next++);
      } else if (look_at == at) {
        const double mean = (area_ - area_at_look_) / policy_.period();
        area_at_look_ = area_;
        look_at += policy_.period();
        DropOverdue();
        Want(at, policy_.Look(at, demand_, mean, ready_));
      } else {
        result_.moments.push_back(
            {at, static_cast<float>(area_ - area_at_moment_), desired_, ready_, demand_.held});
        area_at_moment_ = area_;
        moment_at += 1;
        // Nothing is left to see.
        if (at > workload_.length && demand_.total() == 0 && replicas_here_ == desired_ && desired_ == 0)
          break;
      }
    }
    return Sum();
  }

 private:
  void Pass(SimSeconds at) {
    area_ += demand_.total() * (at - now_);
    result_.replica_seconds += replicas_here_ * (at - now_);
    result_.busy_seconds += demand_.busy * (at - now_) / options_.slots;
    now_ = at;
  }

  void Arrive(std::size_t request) {
    ++demand_.taken;
    const bool from_zero = demand_.total() == 0 && desired_ == 0;
    if (!Give(request)) {
      held_.push_back(request);
      ++demand_.held;
    }
    if (from_zero) Want(now_, policy_.OnDemand(now_, demand_));
  }

  // To the replica that has most slots free.
  bool Give(std::size_t request) {
    Replica* best = nullptr;
    for (const std::size_t n : here_) {
      Replica& replica = replicas_[n];
      if (!replica.ready || replica.leaving || replica.busy >= options_.slots) continue;
      if (best == nullptr || replica.busy < best->busy) best = &replica;
      if (best->busy == 0) break;
    }
    if (best == nullptr) return false;
    ++best->busy;
    ++demand_.busy;
    waits_.push_back(static_cast<float>(now_ - workload_.requests[request].at));
    events_.push({now_ + workload_.requests[request].seconds, Event::Kind::kDone,
                  static_cast<std::size_t>(best - replicas_.data()), workload_.requests[request].seconds});
    return true;
  }

  void Happen(const Event& event) {
    Replica& replica = replicas_[event.replica];
    if (event.kind == Event::Kind::kReady) {
      if (replica.gone) return;
      replica.ready = true;
      ++ready_;
    } else {
      --replica.busy;
      --demand_.busy;
      ++demand_.ended;
      demand_.ended_seconds += event.seconds;
      if (replica.leaving && replica.busy == 0) Leave(event.replica);
    }
    DropOverdue();
    while (!held_.empty() && Give(held_.front())) {
      held_.pop_front();
      --demand_.held;
    }
  }

  void DropOverdue() {
    while (!held_.empty() && now_ - workload_.requests[held_.front()].at > options_.timeout) {
      waits_.push_back(static_cast<float>(options_.timeout));
      ++result_.failed;
      held_.pop_front();
      --demand_.held;
    }
  }

  void Want(SimSeconds now, std::int32_t desired) {
    if (desired < desired_) {
      last_shrink_ = now;
    } else if (desired > desired_ && now - last_shrink_ < kFlapWithin) {
      ++result_.flaps;
      last_shrink_ = -1e9;
    }
    desired_ = desired;
    while (staying_ < desired_) {
      here_.push_back(replicas_.size());
      events_.push({now + options_.startup, Event::Kind::kReady, replicas_.size()});
      replicas_.push_back({.since = now});
      ++staying_;
      ++replicas_here_;
    }
    while (staying_ > desired_) TakeOne();
    result_.most_replicas = std::max(result_.most_replicas, replicas_here_);
  }

  void TakeOne() {
    std::size_t chosen = here_.front();
    const auto rank = [&](std::size_t n) {
      const Replica& replica = replicas_[n];
      return replica.leaving ? 1 << 30 : replica.ready ? 1 + replica.busy : 0;
    };
    for (const std::size_t n : here_) {
      if (rank(n) < rank(chosen)) chosen = n;
    }
    --staying_;
    if (replicas_[chosen].ready) --ready_;
    replicas_[chosen].leaving = true;
    if (replicas_[chosen].busy == 0) Leave(chosen);
  }

  void Leave(std::size_t replica) {
    replicas_[replica].gone = true;
    std::erase(here_, replica);
    --replicas_here_;
  }

  SimResult Sum() {
    result_.policy = policy_.name();
    result_.requests = waits_.size();
    for (const float wait : waits_) result_.waited += wait > 1e-3F;
    std::sort(waits_.begin(), waits_.end());
    const auto at = [&](double share) {
      const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(waits_.size())));
      return waits_.empty() ? 0.0 : waits_[std::clamp<std::size_t>(rank, 1, waits_.size()) - 1];
    };
    result_.wait_p50 = at(0.5);
    result_.wait_p95 = at(0.95);
    result_.wait_p99 = at(0.99);
    result_.wait_max = at(1);
    return std::move(result_);
  }

  const Workload& workload_;
  ScalingPolicy& policy_;
  const SimOptions options_;
  SimResult result_;

  SimSeconds now_ = 0;
  SimDemand demand_;
  double area_ = 0, area_at_look_ = 0, area_at_moment_ = 0;  // of the demand over time
  std::vector<Replica> replicas_;                            // all that ever were
  std::vector<std::size_t> here_;                            // those that are not gone
  std::int32_t desired_ = 0;
  std::int32_t staying_ = 0;        // here and not leaving
  std::int32_t replicas_here_ = 0;  // they cost
  std::int32_t ready_ = 0;
  SimSeconds last_shrink_ = -1e9;
  std::deque<std::size_t> held_;
  std::vector<float> waits_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
};

}  // namespace

SimResult Simulate(const Workload& workload, ScalingPolicy& policy, const SimOptions& options) {
  return Run(workload, policy, options).Do();
}

}  // namespace mayfly::op
