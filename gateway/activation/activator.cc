#include "gateway/activation/activator.h"

#include <fmt/format.h>

#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/log.h"
#include "gateway/activation/activation_context.h"
#include "gateway/activation/function_activator.h"

namespace mayfly::gateway {
namespace {

// What the one who waits holds.
class Handle final : public Dispatched {
 public:
  explicit Handle(std::shared_ptr<Invocation> invocation) : invocation_(std::move(invocation)) {}
  ~Handle() override {
    if (Unfinished()) invocation_->function->Cancel(invocation_, /*detach=*/true);
  }
  void Write(std::string data, bool end) override {
    if (Unfinished()) invocation_->function->Write(invocation_, std::move(data), end);
  }
  void Grant(std::uint64_t bytes) override {
    if (bytes != 0 && Unfinished()) invocation_->function->Grant(invocation_, bytes);
  }
  void Cancel() override {
    if (Unfinished()) invocation_->function->Cancel(invocation_, /*detach=*/false);
  }

 private:
  bool Unfinished() const { return !invocation_->done.load(std::memory_order_acquire); }

  const std::shared_ptr<Invocation> invocation_;
};

// An invocation that was refused before it had a function to go to.
class Refused final : public Dispatched {
 public:
  void Write(std::string, bool) override {}
  void Grant(std::uint64_t) override {}
  void Cancel() override {}
};

}  // namespace

// Destroyed from the last to the first: streams have closed before the loop goes, timers are disarmed before
// the wheel does.
struct Activator::Parts {
  Parts(ActivatorOptions options, const base::Clock& clock, base::Metrics& metrics)
      : wheel(clock),
        demand(clock, std::move(options.gateway), std::move(options.report)),
        loop(options.delivery_threads),
        standby(loop, options.credentials),
        context{.clock = clock,
                .metrics = metrics,
                .wheel = wheel,
                .demand = demand,
                .loop = loop,
                .standby = standby,
                .credentials = std::move(options.credentials)} {}

  DeadlineWheel wheel;
  DemandReporter demand;
  std::unique_ptr<UsageRecorder> usage;  // null: nothing is written down
  DeliveryLoop loop;
  StandbyStreams standby;
  ActivationContext context;
};

Activator::Activator(ActivatorOptions options, const base::Clock& clock, base::Metrics& metrics)
    : clock_(clock), metrics_(metrics), parts_(std::make_unique<Parts>(std::move(options), clock, metrics)) {}

Activator::~Activator() { Stop(std::chrono::steady_clock::now()); }

std::shared_ptr<FunctionActivator> Activator::Find(const std::string& function) const {
  const std::shared_lock lock(mutex_);
  const auto found = functions_.find(function);
  return found == functions_.end() ? nullptr : found->second;
}

absl::Status Activator::Apply(const v1::RouteUpdate& update) {
  const std::lock_guard applying(applying_);
  if (any_route_ && update.epoch() < epoch_) {
    return absl::FailedPreconditionError(
        fmt::format("routes of epoch {} are refused: an operator with epoch {} has already spoken",
                    update.epoch(), epoch_));
  }
  const bool term_alone = update.has_lease() && !update.snapshot() && update.version() == 0;
  if (any_route_ && update.epoch() == epoch_ && update.version() <= version_ && !update.snapshot() &&
      !term_alone) {
    return absl::FailedPreconditionError(
        fmt::format("routes of version {} are refused: version {} is in force", update.version(), version_));
  }
  {
    const std::shared_lock lock(mutex_);
    if (stopping_) return absl::FailedPreconditionError("the gateway is shutting down");
  }
  // Versions of another operator are no older than this one's.
  if (!term_alone || update.epoch() > epoch_) version_ = update.version();
  epoch_ = update.epoch();
  any_route_ = true;
  if (term_alone) return absl::OkStatus();

  std::vector<std::string> gone(update.remove().begin(), update.remove().end());
  if (update.snapshot()) {
    std::unordered_set<std::string> kept;
    for (const v1::FunctionRoute& route : update.upsert()) kept.insert(route.function());
    const std::shared_lock lock(mutex_);
    for (const auto& [name, function] : functions_) {
      if (!kept.contains(name)) gone.push_back(name);
    }
  }
  for (const std::string& name : gone) {
    std::shared_ptr<FunctionActivator> function;
    {
      const std::unique_lock lock(mutex_);
      const auto found = functions_.find(name);
      if (found == functions_.end()) continue;
      function = std::move(found->second);
      functions_.erase(found);
    }
    function->Remove(kReasonFunctionGone, fmt::format("function {} was deleted", name), /*abandon=*/false);
  }
  for (const v1::FunctionRoute& route : update.upsert()) {
    std::shared_ptr<FunctionActivator> function = Find(route.function());
    const bool fresh = function == nullptr;
    if (fresh) function = std::make_shared<FunctionActivator>(parts_->context, route.function());
    function->Apply(std::make_shared<const v1::FunctionRoute>(route));
    if (fresh) {
      const std::unique_lock lock(mutex_);
      functions_[route.function()] = std::move(function);
    }
  }
  // After the routes: one of them may take what does not stand by any more.
  if (update.has_standby() || update.snapshot()) parts_->standby.Set(update.standby());
  parts_->demand.Confirm(update.epoch(), update.version());
  return absl::OkStatus();
}

std::unique_ptr<Dispatched> Activator::Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) {
  std::shared_ptr<FunctionActivator> function;
  bool stopping = false;
  {
    const std::shared_lock lock(mutex_);
    stopping = stopping_;
    if (const auto found = functions_.find(request.route->function()); found != functions_.end()) {
      function = found->second;
    }
  }
  if (stopping || !function) {
    sink->OnPart(stopping ? EndingPart(v1::OUTCOME_NOT_STARTED, kReasonShuttingDown,
                                       "the gateway is shutting down; send the request again")
                          : EndingPart(v1::OUTCOME_NOT_STARTED, kReasonFunctionGone,
                                       fmt::format("function {} was deleted", request.route->function())));
    return std::make_unique<Refused>();
  }
  Departures* const departures = request.departures;
  auto invocation = std::make_shared<Invocation>(function, std::move(request), std::move(sink), clock_.Now());
  function->Begin(invocation, departures);
  return std::make_unique<Handle>(std::move(invocation));
}

void Activator::RecordUsage(std::unique_ptr<UsageSink> sink) {
  parts_->usage = std::make_unique<UsageRecorder>(clock_, metrics_, parts_->demand.gateway(),
                                                  parts_->demand.instance(), std::move(sink));
  parts_->context.usage = parts_->usage.get();
}

absl::Status Activator::WriteUsage() {
  if (!parts_->usage) return absl::FailedPreconditionError("this gateway writes no usage records");
  return parts_->usage->WriteNow();
}

void Activator::ReportTriggers(const std::vector<v1::TriggerReport>& triggers) {
  v1::GatewayReport report;
  for (const v1::TriggerReport& trigger : triggers) *report.add_triggers() = trigger;
  parts_->demand.Push(std::move(report));
}

void Activator::ReportLeases(const v1::HeldLeases& held, std::uint64_t probe) {
  v1::GatewayReport report;
  *report.mutable_leases() = held;
  report.set_lease_probe(probe);
  parts_->demand.Push(std::move(report));
}

const std::string& Activator::gateway() const { return parts_->demand.gateway(); }
const std::string& Activator::instance() const { return parts_->demand.instance(); }

void Activator::Stop(std::chrono::steady_clock::time_point deadline) {
  const std::lock_guard applying(applying_);
  {
    const std::unique_lock lock(mutex_);
    stopping_ = true;
  }
  // Only here does anyone wait for the count, so nobody pays for a signal; 1 ms is nothing to a shutdown.
  while (parts_->context.unfinished.load(std::memory_order_relaxed) > 0 &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::unordered_map<std::string, std::shared_ptr<FunctionActivator>> functions;
  {
    const std::unique_lock lock(mutex_);
    functions.swap(functions_);
  }
  std::vector<std::shared_ptr<DemandReporter::Source>> sources;
  sources.reserve(functions.size());
  for (const auto& [name, function] : functions) sources.push_back(function);
  parts_->demand.Flush(sources);
  parts_->standby.Set({});
  for (const auto& [name, function] : functions) {
    function->Remove(kReasonShuttingDown, "the gateway is shutting down; send the request again",
                     /*abandon=*/true);
    if (parts_->usage) parts_->usage->MarkCharged(function);
  }
  if (parts_->usage) static_cast<void>(parts_->usage->WriteNow());  // what fails is tried again when it goes
}

}  // namespace mayfly::gateway
