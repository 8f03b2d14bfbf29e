// A LeaseKeeper knows which of the triggers that must have one owner this gateway may have, and until when.
//
// The operator's routes say whose each is. What is ours may be begun while our term runs; the term is renewed by probes, and
// counted from when a probe was made, so that it is over here before it is over at the operator. What is begun by the routes
// of one operator is begun within a term of the same one: another knows nothing of it yet.
//
// When the term is over, what was held is over: a source that no server of its own keeps in check ends then, and none of those
// epochs is begun again, whatever the routes still say. What is held is told as a whole, see HeldLeases; what is ours and not
// among it then is not begun either, since the operator takes that for a refusal, and gives it out anew.
//
// Not thread-safe: belongs to the engine's thread. Time is handed in.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/trigger_key.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

class LeaseKeeper {
 public:
  static constexpr std::chrono::milliseconds kAskEvery{1'000};

  // Which process this is; `first_probe` is not what another process has begun with.
  void SetName(std::string gateway, std::string instance, std::uint64_t first_probe);

  // What an update says beside its routes; before they are looked at.
  void OnUpdate(const v1::RouteUpdate& update, base::MonotonicTime now);
  // There is a trigger that somebody leases: from now on terms are asked for.
  void Ask() { asks_ = true; }
  // No more terms are asked for: this gateway ends.
  void StopAsking() { asks_ = false; }

  static bool IsLeased(const v1::EventTrigger& trigger) { return trigger.epoch() > 0; }
  // Whether the routes say that it is this gateway's.
  bool IsOurs(const v1::EventTrigger& trigger) const;
  // Whether it may be begun now.
  bool MayBegin(const TriggerKey& key, const v1::EventTrigger& trigger, base::MonotonicTime now) const;

  // It may not be begun: a term that comes before the next Tell() may change that.
  void Await(const TriggerKey& key, const v1::EventTrigger& trigger);
  // What waits so.
  const std::map<TriggerKey, std::uint64_t>& awaited() const { return awaited_; }
  // REQUIRES: MayBegin().
  void Begun(const TriggerKey& key, std::uint64_t epoch);
  // It is gone from here, and nothing runs of it.
  void Ended(const TriggerKey& key);
  // It is somebody else's, or its term is over: its epoch is not begun again.
  void Lost(const TriggerKey& key);
  // There is no such trigger.
  void Forget(const TriggerKey& key) { lost_.erase(key); }

  const std::map<TriggerKey, std::uint64_t>& held() const { return held_; }
  bool TermRuns(base::MonotonicTime now) const { return now < until_; }
  base::MonotonicTime until() const { return until_; }

  struct News {
    v1::HeldLeases held;
    std::uint64_t probe = 0;  // 0: no more terms are asked for
  };
  // What is to be told now; nothing if that can wait for Next().
  std::optional<News> Tell(base::MonotonicTime now);
  std::optional<base::MonotonicTime> Next() const;

 private:
  std::string gateway_;
  std::string instance_;
  std::uint64_t last_probe_ = 0;
  std::map<std::uint64_t, base::MonotonicTime>
      asked_;  // probes that may be answered, and when they were made
  base::MonotonicTime ask_at_{};
  bool asks_ = false;
  bool changed_ = false;  // held_, since it was told

  base::MonotonicTime until_{};
  std::uint64_t term_epoch_ = 0;  // of the operator that gave the term
  std::uint64_t epoch_ = 0;       // of the operator that gave the routes
  std::uint64_t version_ = 0;

  std::map<TriggerKey, std::uint64_t> held_;
  std::map<TriggerKey, std::uint64_t> awaited_;
  std::map<TriggerKey, std::uint64_t> lost_;  // the last epoch
  std::uint64_t begun_after_ = 0;             // the last probe before something was begun …
  std::uint64_t begun_epoch_ = 0;             // … by the routes of this operator
};

}  // namespace mayfly::gateway
