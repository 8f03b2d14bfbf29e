#include "operator/metering/meter.h"

#include <algorithm>
#include <utility>

namespace mayfly::op {
namespace {

constexpr std::int64_t kMicrosecondsPerMillisecond = 1000;
constexpr std::int64_t kKilobyteMillisecondsPerMegabyteSecond = 1'000'000;
// Late reports of functions that are gone leave entries behind: so many, for so long.
constexpr std::size_t kStrangersKept = 1000;
constexpr std::chrono::minutes kStrangersFor{10};

}  // namespace

Meter::Sums Meter::SumOf(const v1::Demand& demand) {
  Sums sums;
  for (const v1::TriggerUsage& usage : demand.usage()) {
    sums.invocations += static_cast<std::int64_t>(usage.invocations());
    sums.wall_us += static_cast<std::int64_t>(usage.wall_us());
    sums.cpu_us += static_cast<std::int64_t>(usage.cpu_us());
    sums.memory_kb_ms += static_cast<std::int64_t>(usage.memory_kb_ms());
  }
  return sums;
}

std::vector<Meter::Due> Meter::Observe(const v1::GatewayReport& report) {
  const base::MonotonicTime now = clock_.Now();
  std::vector<Due> due;
  const std::lock_guard lock(mutex_);
  for (const v1::Demand& demand : report.demand()) {
    if (demand.usage_size() == 0) continue;
    const auto [found, is_new] = entries_.try_emplace(demand.function());
    Entry& entry = found->second;
    if (is_new) {
      entry.made = now;
      ++strangers_;
    }
    Take(entry, report.gateway(), {report.instance(), demand.usage_life(), SumOf(demand)});
    if (entry.write_at || !entry.restored || entry.total.invocations == entry.written_invocations) continue;
    Schedule(entry, now);
    due.push_back({demand.function(), *entry.write_at});
  }
  Gateway& gateway = gateways_[report.gateway()];
  if (report.leaving()) {
    gateway.left = now;
    gateway.said_goodbye = !report.instance().empty();  // else others say so of it
  } else {
    gateway = {};
  }
  std::erase_if(gateways_, [&](const auto& each) {
    return each.second.left && now - *each.second.left > 2 * std::chrono::nanoseconds(kKeepMarks);
  });
  if (strangers_ > kStrangersKept) DropStrangers(now);
  return due;
}

void Meter::Take(Entry& entry, const std::string& gateway, Reading reading) {
  const auto [known, is_new] = entry.readings.try_emplace(gateway);
  Reading& before = known->second;
  Sums counted;
  if (!is_new && before.instance == reading.instance && before.life == reading.life) {
    // What overtook a newer report on another stream says nothing.
    if (reading.sums.invocations < before.sums.invocations) return;
    counted = before.sums;
  } else if (!is_new && before.instance == reading.instance && reading.life < before.life) {
    return;
  }
  if (entry.restored) {
    entry.total.invocations += reading.sums.invocations - counted.invocations;
    entry.total.wall_us += std::max<std::int64_t>(0, reading.sums.wall_us - counted.wall_us);
    entry.total.cpu_us += std::max<std::int64_t>(0, reading.sums.cpu_us - counted.cpu_us);
    entry.total.memory_kb_ms += std::max<std::int64_t>(0, reading.sums.memory_kb_ms - counted.memory_kb_ms);
    entry.known = true;
  }
  before = std::move(reading);
}

void Meter::Restore(const std::string& function, const std::optional<Usage>& written, bool is_new) {
  const base::MonotonicTime now = clock_.Now();
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[function];
  if (entry.restored) return;
  if (entry.made != base::MonotonicTime{}) --strangers_;
  entry.made = now;
  entry.restored = true;
  std::map<std::string, Reading> said = std::exchange(entry.readings, {});
  if (written) {
    entry.known = true;
    entry.total = {.invocations = written->invocations,
                   .wall_us = written->wall_milliseconds * kMicrosecondsPerMillisecond,
                   .cpu_us = written->cpu_milliseconds * kMicrosecondsPerMillisecond,
                   .memory_kb_ms = written->memory_megabyte_seconds * kKilobyteMillisecondsPerMegabyteSecond};
    entry.written_invocations = written->invocations;
    entry.written_at = now;
    for (const UsageMark& mark : written->counted) {
      entry.readings[mark.gateway] = {mark.instance,
                                      static_cast<std::uint64_t>(mark.life),
                                      {.invocations = mark.invocations,
                                       .wall_us = mark.wall_microseconds,
                                       .cpu_us = mark.cpu_microseconds,
                                       .memory_kb_ms = mark.memory_kilobyte_milliseconds}};
    }
  }
  if (is_new) return;
  for (auto& [gateway, reading] : said) Take(entry, gateway, std::move(reading));
  if (entry.total.invocations != entry.written_invocations) Schedule(entry, now);
}

void Meter::Forget(const std::string& function) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(function);
  if (found == entries_.end()) return;
  if (!found->second.restored) --strangers_;
  entries_.erase(found);
}

std::optional<Usage> Meter::Of(const std::string& function) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(function);
  if (found == entries_.end() || !found->second.restored || !found->second.known) return std::nullopt;
  const Entry& entry = found->second;
  Usage usage{.invocations = entry.total.invocations,
              .wall_milliseconds = entry.total.wall_us / kMicrosecondsPerMillisecond,
              .cpu_milliseconds = entry.total.cpu_us / kMicrosecondsPerMillisecond,
              .memory_megabyte_seconds = entry.total.memory_kb_ms / kKilobyteMillisecondsPerMegabyteSecond,
              .counted = {}};
  for (const auto& [gateway, reading] : entry.readings) {
    usage.counted.push_back({.gateway = gateway,
                             .instance = reading.instance,
                             .life = static_cast<std::int64_t>(reading.life),
                             .invocations = reading.sums.invocations,
                             .wall_microseconds = reading.sums.wall_us,
                             .cpu_microseconds = reading.sums.cpu_us,
                             .memory_kilobyte_milliseconds = reading.sums.memory_kb_ms});
  }
  return usage;
}

std::optional<base::MonotonicTime> Meter::WriteAt(const std::string& function) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(function);
  return found == entries_.end() ? std::nullopt : found->second.write_at;
}

std::optional<base::MonotonicTime> Meter::Written(const std::string& function,
                                                  const std::optional<Usage>& usage) {
  const base::MonotonicTime now = clock_.Now();
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(function);
  if (found == entries_.end() || !found->second.restored || !usage) return std::nullopt;
  Entry& entry = found->second;
  entry.written_invocations = usage->invocations;
  entry.written_at = now;
  entry.write_at.reset();
  Prune(entry, now);
  if (entry.total.invocations != entry.written_invocations) Schedule(entry, now);
  return entry.write_at;
}

void Meter::Schedule(Entry& entry, base::MonotonicTime now) {
  base::MonotonicTime at = now + kGather;
  if (entry.written_at) at = std::max(at, *entry.written_at + kWriteEvery);
  next_write_ =
      std::max(next_write_ + std::chrono::nanoseconds(std::chrono::seconds(1)) / kWritesPerSecond, now);
  entry.write_at = std::max(at, next_write_);
}

void Meter::Prune(Entry& entry, base::MonotonicTime now) {
  const auto left = [&](const std::string& gateway) {
    const auto found = gateways_.find(gateway);
    return found == gateways_.end() ? std::optional(started_) : found->second.left;
  };
  std::erase_if(entry.readings, [&](const auto& each) {
    const auto found = gateways_.find(each.first);
    if (found != gateways_.end() && found->second.said_goodbye) return true;
    const auto since = left(each.first);
    return since && now - *since > kKeepMarks;
  });
  while (entry.readings.size() > kMostMarks) {
    // Those that are here, first; then those that left last.
    const auto oldest =
        std::min_element(entry.readings.begin(), entry.readings.end(), [&](const auto& a, const auto& b) {
          return left(a.first).value_or(base::MonotonicTime::max()) <
                 left(b.first).value_or(base::MonotonicTime::max());
        });
    if (!left(oldest->first)) break;
    entry.readings.erase(oldest);
  }
}

void Meter::DropStrangers(base::MonotonicTime now) {
  std::erase_if(entries_, [&](const auto& each) {
    return !each.second.restored && now - each.second.made > kStrangersFor;
  });
  strangers_ = static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(), [](const auto& each) { return !each.second.restored; }));
}

}  // namespace mayfly::op
