#include "operator/leases/lease_book.h"

#include <algorithm>
#include <utility>

namespace mayfly::op {

LeaseBook::LeaseBook(LeaseOptions options, base::MonotonicTime now)
    : options_(options), quiet_until_(now + options.quiet), balance_at_(now + options.balance_after) {}

std::optional<v1::LeaseTerm> LeaseBook::Observe(const v1::GatewayReport& report, base::MonotonicTime now) {
  EndTerms(now);
  const LeaseOwner sender{report.gateway(), report.instance()};
  if (report.leaving()) {
    // Of a gateway that was forgotten it is not said which process it was: its term has been over for long.
    Forget(sender, false);
    return std::nullopt;
  }
  for (const v1::TriggerReport& trigger : report.triggers()) {
    const auto found = leases_.find({trigger.function(), trigger.trigger()});
    if (found == leases_.end() || found->second.owner != sender) continue;
    Lease& lease = found->second;
    if (trigger.epoch() != lease.epoch) continue;
    lease.busy = trigger.unsettled() > 0;
    if (!trigger.cursor().empty()) lease.cursor = trigger.cursor();
  }
  std::optional<v1::LeaseTerm> term;
  if (report.lease_probe() != 0) {
    const auto [process, is_new] = processes_.try_emplace(sender);
    if (is_new) balance_at_ = now + options_.balance_after;
    process->second.until = now + options_.term;
    process->second.asks = true;
    term.emplace();
    term->set_probe(report.lease_probe());
    term->set_valid_ms(static_cast<std::uint32_t>(options_.told_term.count()));
  }
  if (report.has_leases()) {
    if (const auto process = processes_.find(sender); process != processes_.end()) {
      // One that ends says what it still has, and asks for no more.
      process->second.asks = report.lease_probe() != 0;
      Take(sender, report.leases());
    }
  }
  return term;
}

void LeaseBook::Take(const LeaseOwner& owner, const v1::HeldLeases& held) {
  std::map<LeasedTrigger, std::uint64_t> says;
  for (const v1::HeldLease& lease : held.leases()) says[{lease.function(), lease.trigger()}] = lease.epoch();
  const bool is_ours = held.epoch() == options_.epoch;
  const std::set<LeasedTrigger> owns = processes_.at(owner).owns;
  for (const LeasedTrigger& trigger : owns) {
    if (!says.contains(trigger) && is_ours && held.version() >= leases_.at(trigger).since)
      Release(trigger, false);
  }
  for (const auto& [trigger, epoch] : says) {
    const auto found = leases_.find(trigger);
    if (found == leases_.end()) {
      // Its function is not known yet, or no more: nobody else gets it before he says that it is gone.
      Lease& lease = leases_[trigger];
      lease.epoch = epoch;
      Own(trigger, lease, owner);
      continue;
    }
    Lease& lease = found->second;
    if (lease.owner == owner) continue;
    // Nobody was given it since, or somebody of before has said so first.
    if (lease.owner ? epoch <= lease.epoch : epoch < lease.epoch) continue;
    if (lease.owner) Release(trigger, true);
    Lease& taken = leases_[trigger];
    taken.epoch = epoch;
    Own(trigger, taken, owner);
  }
}

void LeaseBook::Own(const LeasedTrigger& trigger, Lease& lease, const LeaseOwner& owner) {
  lease.owner = owner;
  lease.given_back = false;
  lease.since = 0;
  unowned_.erase(trigger);
  processes_.at(owner).owns.insert(trigger);
  ++owned_;
  Changed(trigger);
}

void LeaseBook::Release(const LeasedTrigger& trigger, bool lapsed) {
  Lease& lease = leases_.at(trigger);
  processes_.at(*lease.owner).owns.erase(trigger);
  --owned_;
  lease.before = std::exchange(lease.owner, std::nullopt);
  lease.lapsed = lapsed;
  lease.given_back = false;
  lease.busy = false;
  if (!lease.wanted) {
    leases_.erase(trigger);
    return;
  }
  unowned_.insert(trigger);
  Changed(trigger);
}

void LeaseBook::Forget(const LeaseOwner& owner, bool lapsed) {
  const auto found = processes_.find(owner);
  if (found == processes_.end()) return;
  const std::set<LeasedTrigger> owns = found->second.owns;
  for (const LeasedTrigger& trigger : owns) Release(trigger, lapsed);
  processes_.erase(found);
}

void LeaseBook::EndTerms(base::MonotonicTime now) {
  std::vector<LeaseOwner> over;
  for (const auto& [owner, process] : processes_) {
    if (process.until <= now) over.push_back(owner);
  }
  for (const LeaseOwner& owner : over) Forget(owner, true);
  if (!over.empty()) balance_at_ = now + options_.balance_after;
}

void LeaseBook::Want(const std::string& function, const std::set<std::string>& triggers) {
  std::vector<LeasedTrigger> gone;
  for (auto lease = leases_.lower_bound({function, ""});
       lease != leases_.end() && lease->first.function == function; ++lease) {
    if (lease->second.wanted && !triggers.contains(lease->first.trigger)) gone.push_back(lease->first);
  }
  for (const LeasedTrigger& trigger : gone) {
    Lease& lease = leases_.at(trigger);
    lease.wanted = false;
    unowned_.erase(trigger);
    if (lease.owner) {
      lease.since = kUnpublished;
    } else {
      leases_.erase(trigger);
    }
  }
  for (const std::string& name : triggers) {
    const LeasedTrigger trigger{function, name};
    Lease& lease = leases_[trigger];
    if (std::exchange(lease.wanted, true)) continue;
    if (!lease.owner) {
      unowned_.insert(trigger);
    } else if (lease.since > 0) {
      // It was deleted, and comes again while its owner still ends it.
      lease.given_back = true;
    }
  }
}

std::map<LeaseOwner, LeaseBook::Process>::iterator LeaseBook::Least() {
  auto least = processes_.end();
  for (auto process = processes_.begin(); process != processes_.end(); ++process) {
    if (!process->second.asks) continue;
    if (least == processes_.end() || process->second.owns.size() < least->second.owns.size()) least = process;
  }
  return least;
}

std::set<std::string> LeaseBook::Decide(base::MonotonicTime now) {
  EndTerms(now);
  while (!unowned_.empty() && now >= quiet_until_) {
    const auto to = Least();
    if (to == processes_.end()) break;
    const LeasedTrigger trigger = *unowned_.begin();
    Lease& lease = leases_.at(trigger);
    Own(trigger, lease, to->first);
    lease.since = kUnpublished;
    lease.epoch = std::max(options_.epoch << 32 | ++given_, lease.epoch + 1);
    lease.given_cursor = lease.cursor;
    changes_.push_back({trigger, std::exchange(lease.before, std::nullopt), to->first, lease.epoch,
                        std::exchange(lease.lapsed, false)});
  }
  return std::exchange(changed_, {});
}

base::MonotonicTime LeaseBook::Next() const {
  base::MonotonicTime next = base::MonotonicTime::max();
  for (const auto& [owner, process] : processes_) next = std::min(next, process.until);
  return unowned_.empty() || processes_.empty()
             ? next
             : std::min(next, std::max(quiet_until_, base::MonotonicTime{}));
}

void LeaseBook::Balance(base::MonotonicTime now) {
  if (now < balance_at_ || !unowned_.empty()) return;
  const auto least = Least();
  if (least == processes_.end()) return;
  const auto most = std::max_element(processes_.begin(), processes_.end(), [](const auto& a, const auto& b) {
    return a.second.owns.size() < b.second.owns.size();
  });
  if (most->second.owns.size() < least->second.owns.size() + 2) return;
  for (const LeasedTrigger& trigger : most->second.owns) {
    if (leases_.at(trigger).given_back) return;  // one at a time
  }
  for (const LeasedTrigger& trigger : most->second.owns) {
    Lease& lease = leases_.at(trigger);
    // What is in the middle of something stays where it is.
    if (!lease.wanted || lease.busy || lease.since >= kStamped) continue;
    lease.given_back = true;
    lease.since = kUnpublished;
    Changed(trigger);
    return;
  }
}

TriggerLease LeaseBook::Of(const LeasedTrigger& trigger) const {
  TriggerLease said;
  said.epoch = options_.epoch << 32;
  const auto found = leases_.find(trigger);
  if (found == leases_.end()) return said;
  const Lease& lease = found->second;
  if (lease.epoch > 0) said.epoch = lease.epoch;
  if (!lease.owner || lease.given_back) return said;
  said.owner = lease.owner;
  said.cursor = lease.given_cursor;
  return said;
}

void LeaseBook::Stamped(const std::string& function) { Advance(function, kUnpublished, kStamped); }

void LeaseBook::Published(const std::string& function, std::uint64_t version) {
  Advance(function, kStamped, version);
}

void LeaseBook::Advance(const std::string& function, std::uint64_t from, std::uint64_t to) {
  for (auto lease = leases_.lower_bound({function, ""});
       lease != leases_.end() && lease->first.function == function; ++lease) {
    if (lease->second.since == from) lease->second.since = to;
  }
}

std::vector<LeaseChange> LeaseBook::TakeChanges() { return std::exchange(changes_, {}); }

}  // namespace mayfly::op
