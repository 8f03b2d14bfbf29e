// A DemandReporter tells the operator what this gateway's functions need.
//
// A function that leaves zero is reported at once, on the thread of whoever made it do so: a cold start waits
// for nobody's tick. Otherwise what has changed is gathered for 100 ms, and what is not zero is told again
// every second, so that a report that was lost matters for a second at most. Functions at rest cost nothing.
//
// Thread-safe. Reports are made one at a time, so that an older figure never overtakes a newer one. Thread
// `gw-demand` sleeps while no function has demand.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

class DemandReporter {
 public:
  using Report = std::function<void(const v1::GatewayReport&)>;

  // A function at this gateway.
  class Source {
   public:
    virtual ~Source() = default;
    // The demand now. From here on a change is to be announced again. Called without any lock of the
    // reporter's that PushNow() or MarkChanged() need, but one: must not call PushNow().
    virtual v1::Demand ReadDemand() = 0;
  };

  // `report` must not block, and must not wait for another thread that may be in PushNow().
  DemandReporter(const base::Clock& clock, std::string gateway, Report report);
  ~DemandReporter();
  DemandReporter(const DemandReporter&) = delete;
  DemandReporter& operator=(const DemandReporter&) = delete;

  // Reports `source` on the calling thread.
  void PushNow(const std::shared_ptr<Source>& source);
  // Reports `source` within 100 ms.
  void MarkChanged(std::shared_ptr<Source> source);
  // Reports what `sources` have cost, on the calling thread: there may be no later report.
  void Flush(const std::vector<std::shared_ptr<Source>>& sources);
  // Reports what somebody else has found out, on the calling thread.
  void Push(v1::GatewayReport report);
  // Tells, at once but on the reporter's thread, that routes up to `version` of the operator with `epoch` are in force.
  void Confirm(std::uint64_t epoch, std::uint64_t version);
  // Who reports, and which process of that name.
  const std::string& gateway() const { return gateway_; }
  const std::string& instance() const { return instance_; }
  // Tells with each report which replicas cannot be reached.
  void SetUnreachable(const std::string& replica, bool unreachable);

 private:
  static constexpr std::chrono::milliseconds kGather{100};
  static constexpr std::chrono::milliseconds kRepeat{1000};

  void Run(const std::stop_token& stop);
  // REQUIRES: sending_ held, mutex_ not.
  void Send(v1::GatewayReport& report);

  const base::Clock& clock_;
  const std::string gateway_;
  const std::string instance_;
  const Report report_;

  std::mutex sending_;  // one report at a time; taken before mutex_

  std::mutex mutex_;
  std::condition_variable_any wake_;
  // Guarded by mutex_:
  std::vector<std::shared_ptr<Source>> changed_;
  std::uint64_t confirmed_epoch_ = 0;
  std::uint64_t confirmed_ = 0;
  bool tell_now_ = false;
  std::set<std::string> unreachable_;

  // Those whose last report was not zero. Touched by the thread only.
  std::unordered_set<std::shared_ptr<Source>> with_demand_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::gateway
