#include "gateway/sources/cron/cron_source.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/stable_hash.h"

namespace mayfly::gateway {
namespace {

// How late an instant may fire without being a missed one: machines are slow at times.
constexpr absl::Duration kGrace = absl::Seconds(5);
constexpr absl::Duration kTryAgain = absl::Seconds(1);
constexpr std::size_t kMostMissed = 100;
// How far it is looked for missed instants, one by one.
constexpr std::size_t kMostLookedAt = 1'000'000;

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

class CronFactory final : public SourceFactory {
 public:
  v1::EventTrigger::SourceCase kind() const override { return v1::EventTrigger::kCron; }
  bool exclusive() const override { return true; }

  absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                    const SourceContext& context) override {
    const v1::CronTrigger& settings = trigger.cron();
    absl::StatusOr<base::CronSchedule> schedule = base::CronSchedule::Parse(settings.schedule());
    if (!schedule.ok()) return base::WithContext(schedule.status(), "cron.schedule");
    absl::TimeZone zone = absl::UTCTimeZone();
    if (!settings.time_zone().empty() && !absl::LoadTimeZone(settings.time_zone(), &zone)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cron.timeZone: there is no time zone \"", settings.time_zone(),
          "\" on this machine; use a name of the IANA database, such as Europe/Paris, and install tzdata"));
    }
    if (timer_ == nullptr) timer_ = std::make_shared<CronTimer>(*context.clock);
    return std::make_unique<CronSource>(*std::move(schedule), zone, settings, context, timer_);
  }

 private:
  std::shared_ptr<CronTimer> timer_;
};

}  // namespace

std::unique_ptr<SourceFactory> MakeCronFactory() { return std::make_unique<CronFactory>(); }

CronSource::CronSource(base::CronSchedule schedule, absl::TimeZone zone, const v1::CronTrigger& settings,
                       SourceContext context, std::shared_ptr<CronTimer> timer)
    : schedule_(schedule),
      zone_(zone),
      settings_(settings),
      context_(std::move(context)),
      timer_(std::move(timer)) {}

absl::Status CronSource::Start(EventSink& sink) {
  sink_ = &sink;
  const absl::Time now = absl::FromChrono(context_.clock->WallNow());
  std::string error;
  {
    const std::lock_guard lock(mutex_);
    if (context_.cursor.empty() || !absl::ParseTime(absl::RFC3339_full, context_.cursor, &last_, &error)) {
      last_ = now;
      // What is missed from here on was missed by this schedule.
      sink.SaveCursor(Rfc3339(now));
    }
  }
  sink.SetHealth(absl::OkStatus());
  sink.SetBacklog(Backlog::Of(0));
  timer_id_ = timer_->Add(now, [this](absl::Time at) { return OnTime(at); });
  return absl::OkStatus();
}

absl::Time CronSource::FiresAt(absl::Time instant) const {
  if (settings_.jitter_ms() == 0) return instant;
  const std::uint64_t hash = base::StableHash(
      absl::StrCat(context_.key.function, " ", context_.key.trigger, " ", absl::ToUnixSeconds(instant)));
  return instant + absl::Milliseconds(static_cast<std::int64_t>(hash % settings_.jitter_ms()));
}

void CronSource::Collect(absl::Time now) {
  std::deque<absl::Time> due;
  for (std::size_t n = 0; n < kMostLookedAt; ++n) {
    const absl::Time next = schedule_.Next(last_, zone_);
    if (FiresAt(next) > now) break;
    last_ = next;
    due.push_back(next);
    if (due.size() > kMostMissed) due.pop_front();
  }
  if (due.empty()) return;
  // Those in time are not missed.
  std::size_t late = 0;
  while (late < due.size() && FiresAt(due[late]) + kGrace < now) ++late;
  switch (settings_.missed_runs()) {
    case v1::CronTrigger::MISSED_RUNS_SKIP:
      due.erase(due.begin(), due.begin() + static_cast<std::ptrdiff_t>(late));
      break;
    case v1::CronTrigger::MISSED_RUNS_ALL:
      break;
    default:
      // What is in time stands for what was missed; else the last of it does.
      due.erase(due.begin(), due.begin() + static_cast<std::ptrdiff_t>(late < due.size() ? late : late - 1));
      break;
  }
  if (late > 0) {
    base::log::Warn("a schedule has missed runs", {{"function", context_.key.function},
                                                   {"trigger", context_.key.trigger},
                                                   {"missed", late},
                                                   {"fires_now", due.size()}});
  }
  waiting_.insert(waiting_.end(), due.begin(), due.end());
  while (waiting_.size() > kMostMissed) waiting_.erase(waiting_.begin() + (in_flight_ ? 1 : 0));
}

SourceEvent CronSource::EventOf(absl::Time instant) {
  const std::string time = Rfc3339(instant);
  SourceEvent event;
  event.token = next_token_++;
  event.event.set_id(absl::StrCat(context_.key.trigger, "@", time));
  event.event.set_source(absl::StrCat("/mayfly/triggers/", context_.key.function, "/", context_.key.trigger));
  event.event.set_type("dev.mayfly.cron");
  event.event.set_time(time);
  event.event.set_data_content_type("application/json");
  event.body =
      absl::StrCat(R"({"scheduledTime":")", time, R"(","schedule":")", settings_.schedule(), R"("})");
  event.cursor = time;
  return event;
}

absl::Time CronSource::OnTime(absl::Time now) {
  std::vector<SourceEvent> events;
  absl::Time next = absl::InfiniteFuture();
  {
    const std::lock_guard lock(mutex_);
    if (quiet_) return next;
    Collect(now);
    if (!in_flight_ && !waiting_.empty()) {
      in_flight_ = true;
      events.push_back(EventOf(waiting_.front()));
    }
    next = FiresAt(schedule_.Next(last_, zone_));
  }
  if (!events.empty()) sink_->Push(std::move(events));
  return next;
}

void CronSource::Settle(const std::vector<Settlement>& settlements) {
  const std::lock_guard lock(mutex_);
  for (const Settlement& settlement : settlements) {
    if (settlement.token + 1 != next_token_) continue;
    in_flight_ = false;
    const absl::Time now = absl::FromChrono(context_.clock->WallNow());
    if (settlement.how == Settled::kReleased) {
      if (!quiet_) timer_->Set(*timer_id_, now + kTryAgain);
      continue;
    }
    waiting_.pop_front();
    if (!waiting_.empty() && !quiet_) timer_->Set(*timer_id_, now);
  }
}

void CronSource::Quiesce() {
  const std::lock_guard lock(mutex_);
  quiet_ = true;
}

void CronSource::Stop(std::chrono::steady_clock::time_point) {
  if (timer_id_) timer_->Remove(*timer_id_);
  timer_id_.reset();
}

}  // namespace mayfly::gateway
