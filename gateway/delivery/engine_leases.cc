// Which triggers the engine may have, of those that must have one owner; see LeaseKeeper.
#include <utility>

#include "base/log.h"
#include "gateway/delivery/delivery_engine.h"

namespace mayfly::gateway {
namespace {

// Longer than the engine ever waits while it asks for terms: it stood still, and so did every check of a server's in between.
constexpr std::chrono::milliseconds kStoodStill = LeaseKeeper::kAskEvery * 3 / 2;

}  // namespace

void DeliveryEngine::OnLeases(std::string gateway, std::string instance,
                              std::function<void(const LeaseKeeper::News&)> tell) {
  leases_.SetName(std::move(gateway), std::move(instance), context_.NextRandom() >> 1);
  tell_leases_ = std::move(tell);
}

bool DeliveryEngine::IsLost(const TriggerKey& key, const v1::EventTrigger& wanted) const {
  const auto held = leases_.held().find(key);
  if (held == leases_.held().end() || !LeaseKeeper::IsLeased(wanted)) return false;
  // What is only taken back has its own epoch still, and no owner.
  return wanted.epoch() != held->second || (!wanted.owner().empty() && !leases_.IsOurs(wanted));
}

void DeliveryEngine::LoseRetired(const TriggerKey& key) {
  leases_.Lost(key);
  for (const Retired& retired : retired_) {
    if (retired.trigger->key() == key) retired.trigger->Lose();
  }
}

void DeliveryEngine::StartAwaited() {
  for (const auto& [key, epoch] : std::map(leases_.awaited())) {
    const auto function = functions_.find(key.function);
    if (function == functions_.end()) continue;
    const auto wanted = function->second.wanted.find(key.trigger);
    if (wanted != function->second.wanted.end() && wanted->second.epoch() == epoch &&
        !function->second.running.contains(key.trigger))
      StartTrigger(function->second, key.trigger);
  }
}

void DeliveryEngine::EndTerms(base::MonotonicTime now) {
  const bool stood_still = now - std::exchange(ended_terms_at_, now) > kStoodStill;
  if (leases_.held().empty() || leases_.TermRuns(now)) return;
  std::vector<TriggerKey> over;
  for (const auto& [key, epoch] : leases_.held()) {
    const TriggerDelivery* const delivery = HolderOf(key);
    if (stood_still || delivery == nullptr || !delivery->fenced()) over.push_back(key);
  }
  for (const TriggerKey& key : over) {
    const auto function = functions_.find(key.function);
    if (function == functions_.end() || !function->second.running.contains(key.trigger)) {
      LoseRetired(key);
      continue;
    }
    base::log::Warn("a trigger is let go: no operator has renewed this gateway's term",
                    {{"function", key.function}, {"trigger", key.trigger}});
    RetireTrigger(function->second, key.trigger, false, true);
  }
}

const TriggerDelivery* DeliveryEngine::HolderOf(const TriggerKey& key) const {
  const auto function = functions_.find(key.function);
  if (function != functions_.end() && function->second.running.contains(key.trigger)) {
    const auto delivery = function->second.triggers.find(key.trigger);
    return delivery == function->second.triggers.end() ? nullptr : delivery->second.get();
  }
  for (const Retired& retired : retired_) {
    if (retired.trigger->key() == key) return retired.trigger.get();
  }
  return nullptr;
}

std::optional<base::MonotonicTime> DeliveryEngine::TellLeases(base::MonotonicTime now) {
  if (!tell_leases_) return std::nullopt;
  if (const auto news = leases_.Tell(now)) tell_leases_(*news);
  std::optional<base::MonotonicTime> next = leases_.Next();
  if (!leases_.held().empty() && leases_.TermRuns(now) && (!next || leases_.until() < *next))
    next = leases_.until();
  return next;
}

}  // namespace mayfly::gateway
