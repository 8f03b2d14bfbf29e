#include "gateway/delivery/trigger_reporter.h"

#include <utility>

namespace mayfly::gateway {
namespace {

bool Waits(const v1::TriggerReport& report) {
  return report.unsettled() > 0 ||
         (report.kind() == v1::TriggerReport::BACKLOG_VALUE && report.backlog() > 0);
}

// Whether it is to be told again and again.
bool AtRest(const v1::TriggerReport& report) {
  return report.gone() || (report.kind() == v1::TriggerReport::BACKLOG_VALUE && !Waits(report));
}

}  // namespace

void TriggerReporter::Look(const TriggerKey& key, v1::TriggerReport now) {
  const auto [entry, is_new] = known_.try_emplace(key);
  Known& known = entry->second;
  const v1::TriggerReport& before = known.report;
  if (!is_new) {
    const bool same = before.kind() == now.kind() && before.backlog() == now.backlog() &&
                      before.unsettled() == now.unsettled() && before.problem() == now.problem() &&
                      before.epoch() == now.epoch() && before.cursor() == now.cursor() && !before.gone();
    if (same) return;
    known.changed = true;
    known.urgent = known.urgent || (!Waits(before) && Waits(now)) || before.kind() != now.kind() ||
                   before.problem() != now.problem() || before.gone();
  }
  known.report = std::move(now);
  restless_.insert(key);
}

void TriggerReporter::Gone(const TriggerKey& key) {
  const auto found = known_.find(key);
  if (found == known_.end() || found->second.report.gone()) return;
  Known& known = found->second;
  known.report.Clear();
  known.report.set_function(key.function);
  known.report.set_trigger(key.trigger);
  known.report.set_gone(true);
  known.changed = known.urgent = true;
  restless_.insert(key);
}

std::optional<base::MonotonicTime> TriggerReporter::Send(base::MonotonicTime now) {
  if (!report_) return std::nullopt;
  std::optional<base::MonotonicTime> next;
  std::vector<v1::TriggerReport> due;
  for (auto key = restless_.begin(); key != restless_.end();) {
    const auto found = known_.find(*key);
    Known& known = found->second;
    const base::MonotonicTime at = known.urgent || !known.told ? now
                                   : known.changed             ? known.told_at + kGather
                                                               : known.told_at + kRepeat;
    if (at > now) {
      if (!next || at < *next) next = at;
      ++key;
      continue;
    }
    due.push_back(known.report);
    known.told_at = now;
    known.told = true;
    known.changed = known.urgent = false;
    if (AtRest(known.report)) {
      if (known.report.gone()) known_.erase(found);
      key = restless_.erase(key);
      continue;
    }
    if (!next || now + kRepeat < *next) next = now + kRepeat;
    ++key;
  }
  if (!due.empty()) report_(due);
  return next;
}

}  // namespace mayfly::gateway
