// What is known of the Secrets that one function's triggers name, and when they are read again.
//
// A Secret is read when a trigger first names it, every minute, within seconds of a source's complaint (its server may
// have a new password already), and when the cluster says that it has changed. A Secret that is gone, or may not be read,
// takes its triggers away from the gateways; while the cluster does not answer, what was read last counts.
//
// Pure: others read, and are told when. Belongs to the function's reconcile. Values never leave it but into a route.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "mayfly/v1/triggers.pb.h"
#include "operator/controller/cluster.h"

namespace mayfly::op {

// Of one Secret, all values together. Routes are in memory at the operator and at each gateway.
inline constexpr std::size_t kMostSecretBytes = 64u << 10;

class TriggerSecrets {
 public:
  // Keeps the Secrets `wanted`, and forgets the others. Returns those to read now, which count as being read until
  // Take() or NotReading(). `troubled` are those of triggers that get no events; `version` is FunctionObject's.
  std::vector<std::string> Due(const std::set<std::string>& wanted, const std::set<std::string>& troubled,
                               std::uint64_t version, base::MonotonicTime now);
  void Take(const std::string& name, absl::StatusOr<SecretData> read, base::MonotonicTime now);
  // Nobody had time to read it.
  void NotReading(const std::string& name);

  // When Due() is to be asked again; nothing if there is nothing to read then.
  std::optional<base::MonotonicTime> NextDue() const;
  // Whether a Secret is being read for the first time.
  bool Pending() const;
  // Whether each was read, or is surely not to be had.
  bool Known() const;

  // Fills the values of trigger->secret_name() into it and returns ""; or says why there are none, without any. While
  // Pending() that may be "it is being read".
  std::string Fill(v1::EventTrigger* trigger) const;

 private:
  struct Entry {
    bool reading = false;
    bool read = false;               // at least once, with whatever outcome
    std::optional<SecretData> data;  // as read last
    std::string problem;             // why there is none, for people
    bool known = false;
    bool troubled = false;
    std::uint64_t version = 0;
    base::MonotonicTime read_at{};
  };

  static base::MonotonicTime DueAt(const Entry& entry);

  std::map<std::string, Entry> entries_;  // by the Secret's name
};

}  // namespace mayfly::op
