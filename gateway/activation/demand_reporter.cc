#include "gateway/activation/demand_reporter.h"

#include <fmt/format.h>

#include <random>
#include <utility>

#include "base/thread.h"

namespace mayfly::gateway {
namespace {

std::string NewInstance() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace

DemandReporter::DemandReporter(const base::Clock& clock, std::string gateway, Report report)
    : clock_(clock),
      gateway_(std::move(gateway)),
      instance_(NewInstance()),
      report_(std::move(report)),
      thread_(base::StartThread("gw-demand", [this](const std::stop_token& stop) { Run(stop); })) {}

DemandReporter::~DemandReporter() {
  thread_.request_stop();
  thread_.join();
}

void DemandReporter::PushNow(const std::shared_ptr<Source>& source) {
  const std::lock_guard sending(sending_);
  v1::GatewayReport report;
  *report.add_demand() = source->ReadDemand();
  Send(report);
  // The thread tells it again for as long as it is not zero.
  MarkChanged(source);
}

void DemandReporter::MarkChanged(std::shared_ptr<Source> source) {
  const std::lock_guard lock(mutex_);
  changed_.push_back(std::move(source));
  if (changed_.size() == 1) wake_.notify_one();
}

void DemandReporter::Flush(const std::vector<std::shared_ptr<Source>>& sources) {
  const std::lock_guard sending(sending_);
  v1::GatewayReport report;
  for (const auto& source : sources) {
    v1::Demand demand = source->ReadDemand();
    if (demand.usage_size() > 0) *report.add_demand() = std::move(demand);
  }
  if (report.demand_size() > 0) Send(report);
}

void DemandReporter::Push(v1::GatewayReport report) {
  const std::lock_guard sending(sending_);
  Send(report);
}

void DemandReporter::Confirm(std::uint64_t epoch, std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  confirmed_epoch_ = epoch;
  confirmed_ = version;
  tell_now_ = true;
  wake_.notify_one();
}

void DemandReporter::SetUnreachable(const std::string& replica, bool unreachable) {
  const std::lock_guard lock(mutex_);
  const bool news = unreachable ? unreachable_.insert(replica).second : unreachable_.erase(replica) != 0;
  if (!news) return;
  tell_now_ = true;
  wake_.notify_one();
}

void DemandReporter::Send(v1::GatewayReport& report) {
  report.set_gateway(gateway_);
  report.set_instance(instance_);
  {
    const std::lock_guard lock(mutex_);
    report.set_confirmed_version(confirmed_);
    report.set_confirmed_epoch(confirmed_epoch_);
    for (const std::string& replica : unreachable_) report.add_unreachable_replicas(replica);
  }
  if (report_) report_(report);
}

void DemandReporter::Run(const std::stop_token& stop) {
  constexpr std::chrono::hours kNothingToDo{1};
  base::MonotonicTime gathered = clock_.Now() - kGather;
  base::MonotonicTime repeated = clock_.Now();
  while (!stop.stop_requested()) {
    std::vector<std::shared_ptr<Source>> sources;
    bool repeat = false;
    {
      std::unique_lock lock(mutex_);
      const base::MonotonicTime quiet_until =
          with_demand_.empty() ? clock_.Now() + kNothingToDo : repeated + kRepeat;
      clock_.WaitUntil(lock, wake_, stop, quiet_until, [&] { return tell_now_ || !changed_.empty(); });
      // What changes within a gathering time of the last report waits for its end.
      clock_.WaitUntil(lock, wake_, stop, gathered + kGather, [&] { return tell_now_; });
      if (stop.stop_requested()) return;
      const base::MonotonicTime now = clock_.Now();
      if (now >= gathered + kGather) {
        gathered = now;
        sources.swap(changed_);
      }
      repeat = now >= repeated + kRepeat;
      if (repeat) repeated = now;
      if (sources.empty() && !tell_now_ && !(repeat && !with_demand_.empty())) continue;
      tell_now_ = false;
    }
    const std::lock_guard sending(sending_);
    v1::GatewayReport report;
    if (repeat) sources.insert(sources.end(), with_demand_.begin(), with_demand_.end());
    std::unordered_set<std::shared_ptr<Source>> seen;
    for (const auto& source : sources) {
      if (!seen.insert(source).second) continue;
      v1::Demand demand = source->ReadDemand();
      if (demand.busy() + demand.held() != 0) {
        with_demand_.insert(source);
      } else {
        with_demand_.erase(source);
      }
      *report.add_demand() = std::move(demand);
    }
    Send(report);
  }
}

}  // namespace mayfly::gateway
