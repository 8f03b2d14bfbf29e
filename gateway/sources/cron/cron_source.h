// A CronSource is the source of one schedule: an event at each of its instants.
//
// A firing is an event that is stored durably under the id TRIGGER@INSTANT (the scheduled one, in UTC), together with
// the cursor, which is that instant: so a schedule fires once for each instant, whatever is restarted, and knows what
// it has missed. Firings go into the store one after the other; one that cannot be stored is tried again until it is.
//
// What was missed (nobody ran, or the clock was set forward) goes by missedRuns: Skip forgets what is over a minute
// late, Once fires for the last of it, All for each, 100 at most.
//
// Thread-safe; see source.h. Firing happens on the timer's thread.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/cron_schedule.h"
#include "gateway/sources/cron/cron_timer.h"
#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

// Makes them, all with one timer, which starts with the first of them.
std::unique_ptr<SourceFactory> MakeCronFactory();

class CronSource final : public EventSource {
 public:
  CronSource(base::CronSchedule schedule, absl::TimeZone zone, const v1::CronTrigger& settings,
             SourceContext context, std::shared_ptr<CronTimer> timer);

  // Firings go into this gateway's store, which has one owner.
  SourceTraits traits() const override {
    return {.durable = false, .lease = std::chrono::milliseconds(0), .fenced = true};
  }
  absl::Status Start(EventSink& sink) override;
  void Grant(std::size_t) override {}
  void Settle(const std::vector<Settlement>& settlements) override;
  void Extend(const std::vector<EventToken>&) override {}
  void Quiesce() override;
  void Stop(std::chrono::steady_clock::time_point deadline) override;

 private:
  // Fires for what is due, and returns when to be called again.
  absl::Time OnTime(absl::Time now);
  // REQUIRES, for these: mutex_ is held.
  void Collect(absl::Time now);
  absl::Time FiresAt(absl::Time instant) const;
  SourceEvent EventOf(absl::Time instant);

  const base::CronSchedule schedule_;
  const absl::TimeZone zone_;
  const v1::CronTrigger settings_;
  const SourceContext context_;
  const std::shared_ptr<CronTimer> timer_;
  EventSink* sink_ = nullptr;
  std::optional<CronTimer::Id> timer_id_;

  std::mutex mutex_;
  absl::Time last_;  // guarded by mutex_; the last instant that was dealt with
  std::deque<absl::Time>
      waiting_;             // guarded by mutex_; instants to fire for, the first of them perhaps on its way
  bool in_flight_ = false;  // guarded by mutex_
  bool quiet_ = false;      // guarded by mutex_
  EventToken next_token_ = 1;  // guarded by mutex_
};

}  // namespace mayfly::gateway
