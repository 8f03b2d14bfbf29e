#include "gateway/delivery/lease_keeper.h"

#include <algorithm>

namespace mayfly::gateway {
namespace {

// An answer that takes longer gives no term.
constexpr std::chrono::seconds kLongestAnswer{10};

}  // namespace

void LeaseKeeper::SetName(std::string gateway, std::string instance, std::uint64_t first_probe) {
  gateway_ = std::move(gateway);
  instance_ = std::move(instance);
  last_probe_ = first_probe;
}

void LeaseKeeper::OnUpdate(const v1::RouteUpdate& update, base::MonotonicTime now) {
  std::erase_if(asked_, [&](const auto& asked) { return asked.second + kLongestAnswer < now; });
  if (update.has_lease()) {
    const auto asked = asked_.find(update.lease().probe());
    // An operator that did not give what was begun since does not know of it yet.
    const bool knows_all = update.epoch() == begun_epoch_ || update.lease().probe() > begun_after_;
    if (asked != asked_.end() && knows_all && update.epoch() >= term_epoch_) {
      term_epoch_ = update.epoch();
      until_ = std::max(until_, asked->second + std::chrono::milliseconds(update.lease().valid_ms()));
      asked_.erase(asked_.begin(), asked);
    }
  }
  if (update.version() == 0 && !update.snapshot()) return;
  epoch_ = update.epoch();
  version_ = update.version();
}

bool LeaseKeeper::IsOurs(const v1::EventTrigger& trigger) const {
  return !trigger.owner().empty() && trigger.owner() == gateway_ && trigger.owner_instance() == instance_;
}

bool LeaseKeeper::MayBegin(const TriggerKey& key, const v1::EventTrigger& trigger,
                           base::MonotonicTime now) const {
  if (!IsLeased(trigger)) return true;
  const auto lost = lost_.find(key);
  return IsOurs(trigger) && TermRuns(now) && term_epoch_ == epoch_ &&
         (lost == lost_.end() || lost->second < trigger.epoch());
}

void LeaseKeeper::Await(const TriggerKey& key, const v1::EventTrigger& trigger) {
  if (IsOurs(trigger)) awaited_[key] = trigger.epoch();
}

void LeaseKeeper::Begun(const TriggerKey& key, std::uint64_t epoch) {
  awaited_.erase(key);
  const auto held = held_.find(key);
  if (held != held_.end() && held->second == epoch) return;
  held_[key] = epoch;
  begun_after_ = last_probe_;
  begun_epoch_ = epoch_;
  changed_ = true;
}

void LeaseKeeper::Ended(const TriggerKey& key) {
  if (held_.erase(key) > 0) changed_ = true;
}

void LeaseKeeper::Lost(const TriggerKey& key) {
  const auto held = held_.find(key);
  if (held == held_.end()) return;
  std::uint64_t& lost = lost_[key];
  lost = std::max(lost, held->second);
  held_.erase(held);
  changed_ = true;
}

std::optional<LeaseKeeper::News> LeaseKeeper::Tell(base::MonotonicTime now) {
  if (!changed_ && !(asks_ && now >= ask_at_)) return std::nullopt;
  News news;
  if (asks_) {
    ask_at_ = now + kAskEvery;
    news.probe = ++last_probe_;
    asked_[news.probe] = now;
  }
  changed_ = false;
  for (const auto& [key, epoch] : std::exchange(awaited_, {})) {
    std::uint64_t& lost = lost_[key];
    lost = std::max(lost, epoch);
  }
  news.held.set_epoch(epoch_);
  news.held.set_version(version_);
  for (const auto& [key, epoch] : held_) {
    v1::HeldLease& lease = *news.held.add_leases();
    lease.set_function(key.function);
    lease.set_trigger(key.trigger);
    lease.set_epoch(epoch);
  }
  return news;
}

std::optional<base::MonotonicTime> LeaseKeeper::Next() const {
  if (changed_) return base::MonotonicTime{};
  if (!asks_) return std::nullopt;
  return ask_at_;
}

}  // namespace mayfly::gateway
