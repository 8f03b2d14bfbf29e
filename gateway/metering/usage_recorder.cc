#include "gateway/metering/usage_recorder.h"

#include "base/log.h"
#include "base/thread.h"

namespace mayfly::gateway {
namespace {

std::int64_t UnixMs(base::WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

UsageRecorder::UsageRecorder(const base::Clock& clock, base::Metrics& metrics, std::string gateway,
                             std::string instance, std::unique_ptr<UsageSink> sink)
    : clock_(clock),
      gateway_(std::move(gateway)),
      instance_(std::move(instance)),
      written_(metrics.Counter("mayfly_usage_records_total", "Usage records that were written.")),
      failures_(metrics.Counter("mayfly_usage_record_failures_total",
                                "Attempts to write usage records that failed; they are tried again.")),
      lost_(metrics.Counter("mayfly_usage_records_lost_total",
                            "Usage records that were given up, as too many waited to be written.")),
      sink_(std::move(sink)),
      from_ms_(UnixMs(clock.WallNow())),
      thread_(base::StartThread("gw-usage", [this](const std::stop_token& stop) { Run(stop); })) {}

UsageRecorder::~UsageRecorder() {
  thread_.request_stop();
  thread_.join();
  static_cast<void>(Write());  // it was logged
}

void UsageRecorder::MarkCharged(std::shared_ptr<Source> source) {
  const std::lock_guard lock(mutex_);
  charged_.push_back(std::move(source));
  if (charged_.size() == 1) wake_.notify_one();
}

absl::Status UsageRecorder::WriteNow() { return Write(); }

void UsageRecorder::Run(const std::stop_token& stop) {
  bool again = false;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      constexpr std::chrono::hours kNothingToDo{1};
      if (!again) {
        clock_.WaitUntil(lock, wake_, stop, clock_.Now() + kNothingToDo, [&] { return !charged_.empty(); });
        if (charged_.empty()) continue;
      }
      clock_.WaitUntil(lock, wake_, stop, clock_.Now() + kEvery, [] { return false; });
    }
    if (stop.stop_requested()) return;
    again = !Write().ok();
  }
}

absl::Status UsageRecorder::Write() {
  const std::lock_guard writing(writing_);
  std::vector<std::shared_ptr<Source>> sources;
  {
    const std::lock_guard lock(mutex_);
    sources.swap(charged_);
  }
  Gather(sources);
  const absl::Status status = Flush();
  if (!status.ok()) {
    failures_.Increment();
    if (!std::exchange(failing_, true))
      base::log::Error("usage records cannot be written; they are kept in memory and tried again each second",
                       {{"why", std::string(status.message())}});
  } else if (std::exchange(failing_, false)) {
    base::log::Info("usage records are written again");
  }
  return status;
}

void UsageRecorder::Gather(const std::vector<std::shared_ptr<Source>>& sources) {
  for (const auto& source : sources) {
    for (const auto& [trigger, sums] : source->TakeCharges()) {
      const std::pair key(source->function(), trigger);
      if (waiting_.size() >= kMostWaiting && !waiting_.contains(key)) {
        lost_.Increment();
        continue;
      }
      waiting_[key] += sums;
    }
  }
}

absl::Status UsageRecorder::Flush() {
  for (;;) {
    if (lines_.empty()) {
      if (waiting_.empty()) return absl::OkStatus();
      UsageRecord record{.from_ms = from_ms_,
                         .until_ms = UnixMs(clock_.WallNow()),
                         .gateway = gateway_,
                         .instance = instance_,
                         .number = 0,
                         .function = {},
                         .trigger = {},
                         .sums = {}};
      for (const auto& [key, sums] : waiting_) {
        record.number = ++number_;
        record.function = key.first;
        record.trigger = key.second;
        record.sums = sums;
        lines_ += ToLine(record);
      }
      lines_count_ = waiting_.size();
      from_ms_ = record.until_ms;
      waiting_.clear();
    }
    if (absl::Status status = sink_->Append(lines_); !status.ok()) return status;
    written_.Increment(static_cast<double>(lines_count_));
    lines_.clear();
  }
}

}  // namespace mayfly::gateway
