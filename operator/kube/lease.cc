#include "operator/kube/lease.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mayfly::kube {
namespace {

// What a holder may ask others to wait; more is a mistake.
constexpr std::int64_t kLongestSeconds = 3600;

}  // namespace

LeaseRecord ReadLease(const JsonView& object) {
  const JsonView spec = object["spec"];
  LeaseRecord record;
  record.holder = spec["holderIdentity"].Text();
  record.duration = std::chrono::seconds(
      std::clamp<std::int64_t>(spec["leaseDurationSeconds"].Integer(), 0, kLongestSeconds));
  record.transitions = std::max<std::int64_t>(0, spec["leaseTransitions"].Integer());
  record.acquired = spec["acquireTime"].Text();
  record.renewed = spec["renewTime"].Text();
  record.resource_version = object["metadata"]["resourceVersion"].Text();
  return record;
}

std::string LeaseJson(const std::string& space, const std::string& name, const LeaseRecord& record) {
  nlohmann::json lease = {{"apiVersion", "coordination.k8s.io/v1"},
                          {"kind", "Lease"},
                          {"metadata", {{"namespace", space}, {"name", name}}},
                          {"spec",
                           {{"holderIdentity", record.holder},
                            {"leaseDurationSeconds", record.duration.count()},
                            {"leaseTransitions", record.transitions},
                            {"acquireTime", record.acquired},
                            {"renewTime", record.renewed}}}};
  if (!record.resource_version.empty()) lease["metadata"]["resourceVersion"] = record.resource_version;
  return lease.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool ObservedLease::Observe(const LeaseRecord& record, base::MonotonicTime now) {
  if (record_ == record) return false;
  record_ = record;
  changed_ = now;
  highest_ = std::max(highest_, record.transitions);
  return true;
}

void ObservedLease::Forget() { record_.reset(); }

bool ObservedLease::MayTake(const std::string& identity, base::MonotonicTime now) const {
  return !record_ || record_->holder.empty() || record_->holder == identity ||
         now >= changed_ + record_->duration;
}

}  // namespace mayfly::kube
