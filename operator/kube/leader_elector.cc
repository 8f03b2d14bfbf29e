#include "operator/kube/leader_elector.h"

#include <algorithm>

#include "base/log.h"
#include "base/thread.h"
#include "operator/kube/timestamps.h"

namespace mayfly::kube {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kReleaseTime{3};

}  // namespace

absl::Status LeaderElector::CheckOptions(const LeaderElectorOptions& options) {
  if (options.space.empty() || options.name.empty() || options.identity.empty()) {
    return absl::InvalidArgumentError("leader election: namespace, name and identity must be given");
  }
  if (options.lease_duration <= options.renew_deadline) {
    return absl::InvalidArgumentError("leader election: the lease must last longer than the renew deadline");
  }
  if (options.renew_deadline * 5 <= options.retry_period * 6 || options.retry_period.count() <= 0) {
    return absl::InvalidArgumentError(
        "leader election: the renew deadline must be longer than the retry period and its jitter (a fifth)");
  }
  if (options.lease_duration < std::chrono::seconds(1)) {
    return absl::InvalidArgumentError("leader election: a lease lasts a second at least");
  }
  return absl::OkStatus();
}

LeaderElector::LeaderElector(Client& client, LeaderElectorOptions options, LeaderCallbacks callbacks)
    : client_(client),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      leading_(client.metrics().Gauge("mayfly_kube_leader", "Whether this process leads.",
                                      {{"lease", options_.name}})),
      failures_(client.metrics().Counter("mayfly_kube_lease_failures_total",
                                         "Attempts to take or renew the lease that failed.",
                                         {{"lease", options_.name}})) {}

LeaderElector::~LeaderElector() { Stop(); }

void LeaderElector::Start() {
  thread_ = base::StartThread("kube-lease", [this](std::stop_token stop) { Run(stop); });
}

void LeaderElector::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

std::optional<std::int64_t> LeaderElector::epoch() const {
  const std::lock_guard lock(mutex_);
  if (epoch_ == 0 || Now() >= leads_until_) return std::nullopt;
  return epoch_;
}

void LeaderElector::Run(std::stop_token stop) {
  if (!Acquire(stop)) return;
  const std::int64_t epoch = held_transitions_;
  base::log::Info("leading", {{"lease", options_.name}, {"identity", options_.identity}, {"epoch", epoch}});
  leading_.Set(1);
  if (callbacks_.started) callbacks_.started(epoch);
  const std::string why = Lead(stop);
  {
    const std::lock_guard lock(mutex_);
    epoch_ = 0;
  }
  leading_.Set(0);
  const bool released = stop.stop_requested();
  base::log::Write(released ? base::log::Level::kInfo : base::log::Level::kError, "leading no more",
                   {{"lease", options_.name}, {"identity", options_.identity}, {"reason", why}});
  if (callbacks_.stopped) callbacks_.stopped(why);
  if (released) Release();
}

bool LeaderElector::Acquire(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const auto taken = TryTake(Now() + options_.renew_deadline, stop);
    if (taken.ok() && *taken) return true;
    if (!taken.ok() && !stop.stop_requested()) {
      failures_.Increment();
      base::log::Warn("lease cannot be taken",
                      {{"lease", options_.name}, {"error", std::string(taken.status().message())}});
    }
    WaitWithJitter(options_.retry_period, stop);
  }
  return false;
}

std::string LeaderElector::Lead(std::stop_token stop) {
  for (;;) {
    WaitWithJitter(options_.retry_period, stop);
    if (stop.stop_requested()) return "it was told to stop";
    base::MonotonicTime until;
    {
      const std::lock_guard lock(mutex_);
      until = leads_until_;
    }
    if (Now() >= until) return "the lease was not renewed within the deadline: this process was paused";
    // An attempt that hangs leaves time for one on another connection.
    absl::Status renewed = Renew(std::min(until, Now() + options_.renew_deadline / 2), stop);
    while (!renewed.ok() && !stop.stop_requested()) {
      failures_.Increment();
      if (observed_.record() && observed_.record()->holder != options_.identity) {
        return "the lease was taken by \"" + observed_.record()->holder + "\"";
      }
      if (Now() >= until) {
        return "the lease was not renewed within the deadline: " + std::string(renewed.message());
      }
      base::log::Warn("lease not renewed",
                      {{"lease", options_.name}, {"error", std::string(renewed.message())}});
      WaitUntil(std::min(until, Now() + std::min(options_.retry_period, options_.renew_deadline / 10)), stop);
      if (Now() < until) renewed = Renew(std::min(until, Now() + options_.renew_deadline / 2), stop);
    }
  }
}

absl::StatusOr<bool> LeaderElector::TryTake(base::MonotonicTime deadline, std::stop_token stop) {
  const absl::Status read = Read(deadline, stop);
  if (!read.ok() && !absl::IsNotFound(read)) return read;
  if (!observed_.MayTake(options_.identity, Now())) return false;
  acquired_ = FormatMicroTime(client_.clock().WallNow());
  held_transitions_ = observed_.next_transitions();
  const LeaseRecord record = OwnRecord();
  const absl::Status written = Write(record, deadline, stop);
  // Another was quicker.
  if (absl::IsAborted(written) || absl::IsAlreadyExists(written)) return false;
  if (!written.ok()) return written;
  const std::lock_guard lock(mutex_);
  epoch_ = record.transitions;
  return true;
}

absl::Status LeaderElector::Renew(base::MonotonicTime deadline, std::stop_token stop) {
  // What was written last is probably still there, so the lease need not be read first.
  absl::Status written = Write(OwnRecord(), deadline, stop);
  if (written.ok() || !(absl::IsAborted(written) || absl::IsNotFound(written))) return written;
  // Somebody wrote to it, perhaps only a label: it is ours as long as it says so.
  const absl::Status read = Read(deadline, stop);
  if (!read.ok() && !absl::IsNotFound(read)) return read;
  if (observed_.record() && observed_.record()->holder != options_.identity) return written;
  return Write(OwnRecord(), deadline, stop);
}

absl::Status LeaderElector::Write(const LeaseRecord& record, base::MonotonicTime deadline,
                                  std::stop_token stop) {
  const base::MonotonicTime begin = Now();
  const std::string body = LeaseJson(options_.space, options_.name, record);
  const auto written =
      record.resource_version.empty()
          ? client_.Create(Leases(), options_.space, body, Call(deadline, stop))
          : client_.Patch(Leases(), {.space = options_.space, .name = options_.name, .subresource = ""},
                          PatchType::kMerge, body, {}, Call(deadline, stop));
  if (!written.ok()) return written.status();
  Observe(ReadLease(written->root()));
  const std::lock_guard lock(mutex_);
  leads_until_ = begin + options_.renew_deadline;
  return absl::OkStatus();
}

absl::Status LeaderElector::Read(base::MonotonicTime deadline, std::stop_token stop) {
  const auto lease = client_.Get(
      Leases(), {.space = options_.space, .name = options_.name, .subresource = ""}, Call(deadline, stop));
  if (lease.ok()) {
    Observe(ReadLease(lease->root()));
  } else if (absl::IsNotFound(lease.status())) {
    observed_.Forget();
  }
  return lease.status();
}

void LeaderElector::Observe(const LeaseRecord& record) {
  observed_.Observe(record, Now());
  if (told_ && told_holder_ == record.holder) return;
  told_ = true;
  told_holder_ = record.holder;
  if (callbacks_.observed) callbacks_.observed(record.holder);
}

void LeaderElector::Release() {
  LeaseRecord record = OwnRecord();
  record.holder.clear();
  record.duration = std::chrono::seconds(1);
  const absl::Status released = Write(record, Now() + kReleaseTime, {});
  if (!released.ok()) {
    base::log::Warn("lease not released, the next leader has to wait for its end",
                    {{"lease", options_.name}, {"error", std::string(released.message())}});
  }
}

CallOptions LeaderElector::Call(base::MonotonicTime deadline, std::stop_token stop) const {
  return {.timeout = std::max(milliseconds(1), std::chrono::ceil<milliseconds>(deadline - Now())),
          .stop = std::move(stop),
          .priority = Priority::kUrgent};
}

LeaseRecord LeaderElector::OwnRecord() const {
  LeaseRecord record;
  if (observed_.record()) record.resource_version = observed_.record()->resource_version;
  record.transitions = held_transitions_;
  record.holder = options_.identity;
  record.duration = std::chrono::ceil<std::chrono::seconds>(options_.lease_duration);
  record.acquired = acquired_;
  record.renewed = FormatMicroTime(client_.clock().WallNow());
  return record;
}

void LeaderElector::WaitWithJitter(milliseconds delay, std::stop_token stop) {
  std::uniform_int_distribution<milliseconds::rep> jitter(0,
                                                          std::max<milliseconds::rep>(1, delay.count() / 5));
  WaitUntil(Now() + delay + milliseconds(jitter(random_)), std::move(stop));
}

void LeaderElector::WaitUntil(base::MonotonicTime until, std::stop_token stop) {
  std::unique_lock lock(wait_mutex_);
  client_.clock().WaitUntil(lock, never_, std::move(stop), until, [] { return false; });
}

}  // namespace mayfly::kube
