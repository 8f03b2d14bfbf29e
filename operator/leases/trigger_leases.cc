#include "operator/leases/trigger_leases.h"

#include <utility>

#include "base/log.h"

namespace mayfly::op {
namespace {

// Of what nobody has asked for or said in between, such as who has more than others.
constexpr std::chrono::seconds kLookAgain{1};

}  // namespace

bool NeedsOneOwner(const v1::EventTrigger& trigger) { return trigger.has_cron() || trigger.has_postgres(); }

TriggerLeases::TriggerLeases(LeaseOptions options, const base::Clock& clock, base::Metrics& metrics)
    : clock_(clock),
      epoch_(options.epoch),
      owned_(metrics.Gauge("mayfly_operator_trigger_leases",
                           "Triggers that must have one owner, and are leased to a gateway.")),
      unowned_(metrics.Gauge("mayfly_operator_triggers_without_owner",
                             "Triggers that must have one owner, and have none.")),
      lapsed_(
          metrics.Counter("mayfly_operator_trigger_takeovers_total",
                          "Triggers that went from one gateway to another, and why: the one before was not "
                          "heard of any more (lapsed), or has let go (given_up).",
                          {{"reason", "lapsed"}})),
      given_(
          metrics.Counter("mayfly_operator_trigger_takeovers_total",
                          "Triggers that went from one gateway to another, and why: the one before was not "
                          "heard of any more (lapsed), or has let go (given_up).",
                          {{"reason", "given_up"}})),
      book_(options, clock.Now()) {}

void TriggerLeases::Observe(const v1::GatewayReport& report) {
  // Most reports are of demand alone.
  if (report.lease_probe() == 0 && !report.has_leases() && !report.leaving() && report.triggers_size() == 0)
    return;
  const std::lock_guard lock(mutex_);
  const base::MonotonicTime now = clock_.Now();
  auto term = book_.Observe(report, now);
  if (term) news_.terms[report.gateway()] = *std::move(term);
  Decide(now);
}

void TriggerLeases::Stamp(v1::FunctionRoute* route) {
  std::set<std::string> leased;
  for (const v1::EventTrigger& trigger : route->triggers()) {
    if (NeedsOneOwner(trigger)) leased.insert(trigger.name());
  }
  const std::lock_guard lock(mutex_);
  book_.Want(route->function(), leased);
  Decide(clock_.Now());
  for (v1::EventTrigger& trigger : *route->mutable_triggers()) {
    if (!leased.contains(trigger.name())) continue;
    const TriggerLease lease = book_.Of({route->function(), trigger.name()});
    trigger.set_epoch(lease.epoch);
    trigger.set_owner(lease.owner ? lease.owner->gateway : "");
    trigger.set_owner_instance(lease.owner ? lease.owner->instance : "");
    trigger.set_cursor(lease.cursor);
  }
  book_.Stamped(route->function());
  news_.functions.erase(route->function());
}

void TriggerLeases::Remove(const std::string& function) {
  const std::lock_guard lock(mutex_);
  book_.Want(function, {});
  Decide(clock_.Now());
  book_.Stamped(function);
}

void TriggerLeases::Published(const std::string& function, std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  book_.Published(function, version);
}

void TriggerLeases::Decide(base::MonotonicTime now) {
  news_.functions.merge(book_.Decide(now));
  for (const LeaseChange& change : book_.TakeChanges()) Tell(change);
  owned_.Set(static_cast<double>(book_.owned()));
  unowned_.Set(static_cast<double>(book_.unowned()));
  if (!news_.functions.empty() || !news_.terms.empty()) changed_.notify_all();
}

void TriggerLeases::Tell(const LeaseChange& change) {
  const bool moved = change.from && *change.from != change.to;
  if (moved) (change.lapsed ? lapsed_ : given_).Increment();
  base::log::Info(moved ? "a trigger goes from one gateway to another" : "a trigger goes to a gateway",
                  {{"function", change.trigger.function},
                   {"trigger", change.trigger.trigger},
                   {"gateway", change.to.gateway},
                   {"before", change.from ? change.from->gateway : ""},
                   {"why", !change.from    ? ""
                           : change.lapsed ? "its term is over"
                                           : "it has let go"},
                   {"epoch", change.epoch}});
}

TriggerLeases::News TriggerLeases::AwaitNews(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    const base::MonotonicTime now = clock_.Now();
    book_.Balance(now);
    Decide(now);
    const auto any = [this] { return !news_.functions.empty() || !news_.terms.empty(); };
    if (any() || stop.stop_requested()) return std::exchange(news_, {});
    clock_.WaitUntil(lock, changed_, stop, std::min(book_.Next(), now + kLookAgain), any);
  }
}

}  // namespace mayfly::op
