// A Lease as candidates read and write it, and the decision who may take it.
//
// Nobody's clock is trusted but one's own: the times in a lease are for people. A candidate notes when *it*
// saw the lease change, by its monotonic clock, and takes the lease once it has not changed for as long as its
// holder said it would hold it.
//
// No threads; `now` is an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "operator/kube/json.h"

namespace mayfly::kube {

struct LeaseRecord {
  std::string holder;  // "" if it was released
  std::chrono::seconds duration{0};
  std::int64_t transitions = 0;
  std::string acquired;
  std::string renewed;
  std::string resource_version;

  bool operator==(const LeaseRecord&) const = default;
};

LeaseRecord ReadLease(const JsonView& object);

// The body of the create (`version` "") or the merge patch that writes `record`. A patch says the version that
// it changes, so that of two candidates one gets a Conflict.
std::string LeaseJson(const std::string& space, const std::string& name, const LeaseRecord& record);

class ObservedLease {
 public:
  // The lease is `record` now; whether that is another one than before.
  bool Observe(const LeaseRecord& record, base::MonotonicTime now);
  // The lease does not exist. Its transitions are remembered, so that the next ones are greater.
  void Forget();

  // Whether `identity` may take the lease: there is none, it was released, its holder let it lapse, or it is
  // ours already (a write whose answer was lost).
  bool MayTake(const std::string& identity, base::MonotonicTime now) const;

  const std::optional<LeaseRecord>& record() const { return record_; }
  // That of the next holder: greater than every one that was seen.
  std::int64_t next_transitions() const { return highest_ + 1; }

 private:
  std::optional<LeaseRecord> record_;
  base::MonotonicTime changed_;
  std::int64_t highest_ = 0;
};

}  // namespace mayfly::kube
