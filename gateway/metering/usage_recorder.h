// A UsageRecorder writes down what invocations have cost, for good: one UsageRecord for each trigger that had any within
// a second.
//
// Functions whose invocations were charged announce themselves; each second the recorder takes what they were charged
// since it looked last, and appends it to its sink. What the sink refuses is kept and given again, the same lines first, so
// that nothing is lost or written twice while the process lives. What a process that is killed had charged and not
// written is lost: of one second and the time that a write takes, at most, if the sink takes records.
//
// Thread-safe. Thread `gw-usage` sleeps while nothing is charged.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "gateway/metering/usage_record.h"
#include "gateway/metering/usage_sink.h"

namespace mayfly::gateway {

class UsageRecorder {
 public:
  static constexpr std::chrono::milliseconds kEvery{1000};
  // So many triggers can wait for a sink that takes nothing; what more of them cost is lost, and counted.
  static constexpr std::size_t kMostWaiting = 100'000;

  // A function at this gateway.
  class Source {
   public:
    virtual ~Source() = default;
    virtual const std::string& function() const = 0;
    // What was charged since the last call, by trigger. From here on a charge is to be announced again. Called without any
    // lock that MarkCharged() needs.
    virtual std::vector<std::pair<std::string, UsageSums>> TakeCharges() = 0;
  };

  // `clock` and `metrics` must outlive the recorder.
  UsageRecorder(const base::Clock& clock, base::Metrics& metrics, std::string gateway, std::string instance,
                std::unique_ptr<UsageSink> sink);
  // Writes what is left, once.
  ~UsageRecorder();

  // `source` was charged.
  void MarkCharged(std::shared_ptr<Source> source);
  // Writes what has been charged until now, on the calling thread. The sink's error, if it does not take it: it is given
  // again later.
  absl::Status WriteNow();

 private:
  void Run(const std::stop_token& stop);
  absl::Status Write();
  // REQUIRES: writing_ is held.
  void Gather(const std::vector<std::shared_ptr<Source>>& sources);
  absl::Status Flush();

  const base::Clock& clock_;
  const std::string gateway_;
  const std::string instance_;
  prometheus::Counter& written_;
  prometheus::Counter& failures_;
  prometheus::Counter& lost_;

  std::mutex writing_;  // one write at a time; taken before mutex_
  // Guarded by writing_:
  const std::unique_ptr<UsageSink> sink_;
  std::map<std::pair<std::string, std::string>, UsageSums> waiting_;  // by function and trigger
  std::int64_t from_ms_;
  std::uint64_t number_ = 0;
  std::string lines_;  // given to the sink and not taken yet
  std::size_t lines_count_ = 0;
  bool failing_ = false;

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<std::shared_ptr<Source>> charged_;  // guarded by mutex_
  std::jthread thread_;                           // last: it uses all of the above
};

}  // namespace mayfly::gateway
