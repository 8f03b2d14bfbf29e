// The LeaseBook decides which gateway has which of the triggers that must have one owner.
//
// A gateway is one process: a name and an instance. It holds what it is given for as long as its term runs, which it
// renews by a probe in its reports. It counts the term from before it sent the probe and the book from when it got it, and the
// gateway is told a little less (`told_term`): so a gateway's term is over before the book takes its triggers away, whatever
// its clock says. The rules:
//
//   Nobody has it      the gateway gets it that has fewest, of those whose term runs and who still ask for one.
//   Somebody has it    he keeps it: until his term is over, he says that he leaves, or that he has let go.
//   It is taken back   (deleted, or another gateway has two fewer) the owner is told so, and has it until he says that it is gone.
//   After a start      nobody gets what nobody says he has, before the terms of the operators before are over: `quiet`. Who
//                      says that he has it keeps it.
//
// What a gateway says that it has, it says of all (HeldLeases), and as of which update: a trigger that is not among them, as
// of the update that gave it to him, he has let go, or will not take. Nothing hangs on a message of its own that may be lost.
//
// Epochs grow with every owner, also over operators: the operator's own epoch is their high half.
//
// Pure: time is handed in. Not thread-safe.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::op {

struct LeasedTrigger {
  std::string function;
  std::string trigger;
  auto operator<=>(const LeasedTrigger&) const = default;
};

// One process that is a gateway.
struct LeaseOwner {
  std::string gateway;
  std::string instance;
  auto operator<=>(const LeaseOwner&) const = default;
};

struct LeaseOptions {
  std::uint64_t epoch = 1;  // of the operator
  std::chrono::milliseconds term{3'000};
  // What a gateway is told of it: clocks may differ by as much in the length of a term.
  std::chrono::milliseconds told_term{2'900};
  // From the start on; 0 where no operator can have been before. At least the longest term that any has given.
  std::chrono::milliseconds quiet{3'000};
  // How long gateways have come and gone no more before one of two that have more than the others gives something up.
  std::chrono::milliseconds balance_after{30'000};
};

// Who has a trigger, as gateways are told.
struct TriggerLease {
  std::uint64_t epoch = 0;
  std::optional<LeaseOwner> owner;  // none: nobody, or it is taken back
  std::string cursor;               // what the owner before had said last when this one got it
};

// That a trigger has another owner.
struct LeaseChange {
  LeasedTrigger trigger;
  std::optional<LeaseOwner> from;  // who had it before, if this book knows
  LeaseOwner to;
  std::uint64_t epoch = 0;
  bool lapsed = false;  // the owner before had not let go
};

class LeaseBook {
 public:
  LeaseBook(LeaseOptions options, base::MonotonicTime now);

  // Takes in what a gateway says. Returns the term that it is to be told, if it has asked.
  std::optional<v1::LeaseTerm> Observe(const v1::GatewayReport& report, base::MonotonicTime now);
  // `triggers` are those of `function` that must have one owner, instead of those it had before.
  void Want(const std::string& function, const std::set<std::string>& triggers);
  // Takes away what is over and gives out what can be had. Returns whose triggers are to be told anew.
  std::set<std::string> Decide(base::MonotonicTime now);
  // When Decide() may have something to do that nobody has said.
  base::MonotonicTime Next() const;
  // Takes one trigger back from a gateway that has two more than another, once nothing has changed for a while.
  void Balance(base::MonotonicTime now);

  TriggerLease Of(const LeasedTrigger& trigger) const;
  // What Of() says now of the function's triggers, and that it has no others, goes into the next update that is published of it.
  void Stamped(const std::string& function);
  // What was stamped last is in update `version`. What was decided since is not.
  void Published(const std::string& function, std::uint64_t version);

  // The owners that have changed since the last call.
  std::vector<LeaseChange> TakeChanges();
  std::size_t owned() const { return owned_; }
  std::size_t unowned() const { return unowned_.size(); }
  const LeaseOptions& options() const { return options_; }

 private:
  static constexpr std::uint64_t kUnpublished = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::uint64_t kStamped = kUnpublished - 1;

  struct Lease {
    bool wanted = false;
    std::optional<LeaseOwner> owner;  // who has it, or may have it
    bool given_back = false;          // the owner is to let go
    // The update from which on it counts that the owner does not say he has it.
    std::uint64_t since = 0;
    std::uint64_t epoch = 0;  // the highest that anybody had
    bool busy = false;        // it has events in its hands
    std::string cursor;       // as the owner said last
    std::string given_cursor;
    std::optional<LeaseOwner> before;
    bool lapsed = false;
  };
  struct Process {
    base::MonotonicTime until{};  // of its term
    bool asks = false;
    std::set<LeasedTrigger> owns;
  };

  void Release(const LeasedTrigger& trigger, bool lapsed);
  void Own(const LeasedTrigger& trigger, Lease& lease, const LeaseOwner& owner);
  void Take(const LeaseOwner& owner, const v1::HeldLeases& held);
  void Forget(const LeaseOwner& owner, bool lapsed);
  void EndTerms(base::MonotonicTime now);
  // Moves `since` of the function's leases on.
  void Advance(const std::string& function, std::uint64_t from, std::uint64_t to);
  // Who has fewest of those that may be given something; end() if there is none.
  std::map<LeaseOwner, Process>::iterator Least();
  void Changed(const LeasedTrigger& trigger) { changed_.insert(trigger.function); }

  const LeaseOptions options_;
  const base::MonotonicTime quiet_until_;
  base::MonotonicTime balance_at_;
  std::map<LeasedTrigger, Lease> leases_;
  std::set<LeasedTrigger> unowned_;          // wanted, and to be given out
  std::map<LeaseOwner, Process> processes_;  // whose term runs
  std::set<std::string> changed_;
  std::vector<LeaseChange> changes_;
  std::size_t owned_ = 0;
  std::uint32_t given_ = 0;  // the low half of the last epoch
};

}  // namespace mayfly::op
