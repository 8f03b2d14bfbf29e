#include "runtime/server/replica.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "proto/problem.h"
#include "runtime/ipc/layout.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How many old revisions may finish at once: a bound on what a fast series of loads can pile up.
constexpr std::size_t kMostRetiring = 4;
// What an old revision's invocations get beyond their timeout.
constexpr milliseconds kGrace{5'000};

constexpr std::uint32_t kDefaultTimeoutMs = 60'000;
constexpr std::uint32_t kDefaultCreateTimeoutMs = 10'000;
constexpr std::uint32_t kDefaultFetchWaitMs = 5'000;
constexpr std::uint64_t kDefaultLargestRequest = 32u << 20;

template <typename T>
T Or(T value, T otherwise) {
  return value == 0 ? otherwise : value;
}

PoolOptions OptionsOf(const v1::LoadRequest& request, const Replica::Options& replica,
                      const std::string& module_path) {
  PoolOptions options;
  options.worker_program = replica.worker_program;
  options.spare = replica.spare;
  options.symbolizer_program = replica.symbolizer_program;
  options.temporary_parent = replica.temporary_parent;
  options.function = request.function();
  options.revision = request.revision();
  options.module_path = module_path;
  options.handler = request.handler();
  if (!request.config_json().empty()) options.config_json = request.config_json();
  options.environment = {request.environment().begin(), request.environment().end()};
  options.slots = Or(request.concurrency(), 1u);
  options.create_timeout = milliseconds(Or(request.create_timeout_ms(), kDefaultCreateTimeoutMs));
  options.worker_memory_bytes = request.limits().worker_memory_bytes();
  options.max_request_bytes = Or<std::uint64_t>(request.limits().max_request_bytes(), kDefaultLargestRequest);
  options.max_response_bytes = request.limits().max_response_bytes();
  return options;
}

// Sizes are computed from these numbers: those that could overflow are refused, by name.
absl::Status CheckLimits(const v1::LoadRequest& request) {
  const auto check = [](const char* name, std::uint64_t value, std::uint64_t most) {
    if (value <= most) return absl::OkStatus();
    return absl::InvalidArgumentError(fmt::format("{} is {}; the most is {}", name, value, most));
  };
  if (auto status = check("concurrency", request.concurrency(), kMostSlots); !status.ok()) return status;
  if (auto status =
          check("limits.max_request_bytes", request.limits().max_request_bytes(), ipc::kMostRequestBytes);
      !status.ok()) {
    return status;
  }
  return check("limits.worker_memory_bytes", request.limits().worker_memory_bytes(), kMostWorkerMemoryBytes);
}

// Where the module is fetched from; neither URL nor image if it is not.
ModuleSource SourceOf(const v1::LoadRequest& request) {
  ModuleSource source;
  source.url = request.url();
  if (!request.has_image()) return source;
  source.image = {.reference = request.image().reference(),
                  .ca_certificates = request.image().ca_certificates(),
                  .plain_http = request.image().plain_http()};
  for (const v1::RegistryLogin& login : request.image().logins()) {
    source.image.logins.push_back({.username = login.username(),
                                   .password = login.password(),
                                   .identity_token = login.identity_token(),
                                   .registry_token = login.registry_token()});
  }
  return source;
}

// What the dynamic linker says names our copy of the module, which nobody who reads it has ever seen.
void NameSource(const v1::LoadRequest& request, const std::string& copy, v1::Problem& problem) {
  const std::string source = !request.url().empty()           ? ShownUrl(request.url())
                             : request.has_image()            ? SourceOf(request).Shown()
                             : !request.source_path().empty() ? request.source_path()
                             : !request.path().empty()        ? request.path()
                                                              : "the module";
  std::string message = problem.message();
  for (std::size_t at = 0; (at = message.find(copy, at)) != std::string::npos; at += source.size())
    message.replace(at, copy.size(), source);
  problem.set_message(std::move(message));
}

std::uint64_t Microseconds(std::chrono::microseconds duration) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
}

}  // namespace

v1::ResponsePart NotStarted(std::string_view reason, std::string_view message) {
  v1::ResponsePart part;
  *part.mutable_result() = v1::MakeResult(v1::OUTCOME_NOT_STARTED, "runtime", reason, std::string(message));
  return part;
}

Replica::Replica(Options options, PoolFactory make_pool, ModuleStore& store, base::Metrics& metrics)
    : options_(std::move(options)),
      make_pool_(std::move(make_pool)),
      store_(store),
      metrics_(metrics),
      retiring_(kMostRetiring) {}

Replica::~Replica() { stopping_ = true; }

absl::Status Replica::Admit(std::uint64_t epoch) {
  std::uint64_t seen = epoch_.load();
  while (epoch > seen && !epoch_.compare_exchange_weak(seen, epoch)) {
  }
  if (epoch >= seen) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "this command has epoch {}, and one of epoch {} came before: another operator leads now", epoch, seen));
}

absl::Status Replica::Load(const v1::LoadRequest& request, v1::LoadReply& reply) {
  const std::lock_guard loading(load_mutex_);
  // Once more, because a newer operator's command may have come while this one waited.
  if (const absl::Status status = Admit(request.epoch()); !status.ok()) return status;
  if (const absl::Status status = CheckLimits(request); !status.ok()) return status;
  const auto refusal = [] {
    return absl::FailedPreconditionError("this runtime drains and loads nothing any more");
  };
  {
    const absl::ReaderMutexLock lock(&current_mutex_);
    if (draining_) return refusal();
    if (!bound_.empty() && bound_ != request.function()) {
      return absl::AlreadyExistsError(
          fmt::format("this runtime has run code of {} and loads no module of {}: take another", bound_,
                      request.function().empty() ? "a function without a name" : request.function()));
    }
    if (current_ && !request.revision().empty() && current_->pool->revision() == request.revision()) {
      reply = current_->reply;
      return absl::OkStatus();
    }
  }
  {
    const std::lock_guard lock(retired_mutex_);
    if (retired_.size() >= kMostRetiring) {
      return absl::ResourceExhaustedError(fmt::format(
          "{} older revisions still finish their invocations; load again when one is done", kMostRetiring));
    }
  }
  std::shared_ptr<Revision> made = Make(request, reply);
  if (!made) {
    const absl::ReaderMutexLock lock(&current_mutex_);
    reply.set_bound(!bound_.empty());
  }
  if (!made && reply.problem().reason() == ModuleFetcher::kReasonFetching) return absl::OkStatus();
  if (!made) {
    base::log::Warn("module refused", {{"function", request.function()},
                                       {"revision", request.revision()},
                                       {"reason", reply.problem().reason()},
                                       {"problem", reply.problem().message()}});
    return absl::OkStatus();
  }
  base::log::Info("module loaded", {{"function", request.function()},
                                    {"revision", request.revision()},
                                    {"handler", reply.handler()},
                                    {"check_us", reply.check_us()},
                                    {"map_us", reply.map_us()},
                                    {"init_us", reply.init_us()}});
  {
    const absl::WriterMutexLock lock(&current_mutex_);
    if (draining_) return refusal();  // `made` ends here, before it has run anything
    std::swap(current_, made);
  }
  Announce();
  if (made) Retire(std::move(made));
  return absl::OkStatus();
}

std::shared_ptr<const StoredModule> Replica::GetModule(const v1::LoadRequest& request, v1::LoadReply& reply,
                                                       AdmitTimes& times) {
  AdmitRequest admit;
  admit.path = request.path();
  admit.source_path = request.source_path();
  admit.bytes = request.inline_();
  admit.sha256 = request.sha256();
  if (const auto found = request.environment().find("LD_LIBRARY_PATH");
      found != request.environment().end()) {
    admit.library_path = found->second;
  }
  if (request.url().empty() && !request.has_image())
    return store_.Admit(admit, *reply.mutable_problem(), times);
  if (options_.fetcher == nullptr) {
    *reply.mutable_problem() = v1::MakeProblem("runtime", "ArtifactNotServed",
                                               "this runtime fetches no modules from URLs or out of images");
    return nullptr;
  }
  const ModuleSource source = SourceOf(request);
  const Clock::time_point start = Clock::now();
  const Clock::time_point deadline = start + milliseconds(Or(request.fetch_wait_ms(), kDefaultFetchWaitMs));
  std::shared_ptr<const StoredModule> module;
  // A file that went bad in the cache is found here, and fetched once more.
  for (int attempt = 0; !module && attempt < 2; ++attempt) {
    const FetchedModule fetched =
        options_.fetcher->Fetch(source, request.sha256(), deadline, *reply.mutable_problem());
    if (!fetched) break;
    admit.file = fetched.file.get();
    admit.sha256 = fetched.sha256;
    admit.source_path = source.Shown();
    module = store_.Admit(admit, *reply.mutable_problem(), times);
    if (!module && reply.problem().reason() != "DigestMismatch") break;
    if (!module) options_.fetcher->Drop(fetched.sha256);
  }
  times.fetch = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start) - times.check;
  return module;
}

std::shared_ptr<Replica::Revision> Replica::Make(const v1::LoadRequest& request, v1::LoadReply& reply) {
  auto revision = std::make_shared<Revision>();
  AdmitTimes times;
  revision->module = GetModule(request, reply, times);
  if (!revision->module) return nullptr;
  Bind(request.function());
  reply.set_bound(true);
  revision->pool =
      make_pool_(OptionsOf(request, options_, revision->module->path), metrics_, *reply.mutable_problem());
  if (!revision->pool) {
    NameSource(request, revision->module->path, *reply.mutable_problem());
    return nullptr;
  }
  revision->function = request.function();
  revision->timeout = milliseconds(Or(request.timeout_ms(), kDefaultTimeoutMs));

  const LoadTimes load_times = revision->pool->load_times();
  reply.clear_problem();
  reply.set_revision(request.revision());
  reply.set_handler(std::string(revision->pool->handler()));
  reply.set_forks(revision->pool->State().forks);
  reply.set_fetch_us(Microseconds(times.fetch));
  reply.set_check_us(Microseconds(times.check));
  reply.set_map_us(Microseconds(load_times.map));
  reply.set_init_us(Microseconds(load_times.init));
  revision->reply = reply;
  const auto observe = [this](const char* phase, std::uint64_t microseconds) {
    metrics_
        .Histogram("mayfly_runtime_load_seconds", "How long each phase of loading a module took.",
                   {{"phase", phase}}, base::Metrics::LatencyBuckets())
        .Observe(static_cast<double>(microseconds) / 1e6);
  };
  observe("fetch", reply.fetch_us());
  observe("check", reply.check_us());
  observe("map", reply.map_us());
  observe("init", reply.init_us());
  return revision;
}

void Replica::Bind(const std::string& function) {
  const absl::WriterMutexLock lock(&current_mutex_);
  bound_ = function;
}

void Replica::Retire(std::shared_ptr<Revision> old) {
  {
    const std::lock_guard lock(retired_mutex_);
    retired_.insert(old.get());
  }
  const Clock::time_point deadline = Clock::now() + old->timeout + kGrace;
  auto finish = [this, old, deadline]() mutable {
    constexpr milliseconds kSlice{100};  // how soon the replica's end is noticed
    std::uint32_t remaining = 0;
    Clock::time_point until;
    do {
      until = std::min(deadline, Clock::now() + kSlice);
      remaining = old->pool->Drain(until);
    } while (remaining > 0 && until < deadline && !stopping_);
    if (remaining > 0) {
      base::log::Warn(
          "old revision stopped with invocations still running",
          {{"function", old->function}, {"revision", old->pool->revision()}, {"remaining", remaining}});
    }
    const Revision* key = old.get();
    old.reset();
    const std::lock_guard lock(retired_mutex_);
    retired_.erase(key);
    retired_changed_.notify_all();
  };
  // Load() has left room. A task that has just ended may still count, so the last resort is this thread.
  if (!retiring_.Run("retire", finish)) finish();
}

std::shared_ptr<PoolCall> Replica::Start(const v1::Start& start, std::string_view body, bool body_complete,
                                         std::shared_ptr<ResponseSink> sink) {
  const char* reason = nullptr;
  const char* message = nullptr;
  {
    const absl::ReaderMutexLock lock(&current_mutex_);
    if (draining_) {
      reason = "Draining";
      message = "this replica drains and takes no more invocations";
    } else if (!current_) {
      reason = "NoModule";
      message = "this replica holds no module yet";
    } else {
      return current_->pool->Start(start, body, body_complete, std::move(sink));
    }
  }
  sink->OnPart(NotStarted(reason, message));
  sink->OnFlush();
  return nullptr;
}

std::uint32_t Replica::Drain(Clock::time_point deadline) {
  std::shared_ptr<Revision> current;
  {
    const absl::WriterMutexLock lock(&current_mutex_);
    draining_ = true;
    current = current_;
  }
  Announce();
  std::uint32_t remaining = current ? current->pool->Drain(deadline) : 0;
  std::unique_lock lock(retired_mutex_);
  retired_changed_.wait_until(lock, deadline, [this] { return retired_.empty(); });
  // A revision in the set is not destroyed before it has left it.
  for (const Revision* revision : retired_) remaining += revision->pool->State().busy;
  return remaining;
}

v1::DescribeReply Replica::Describe() const {
  v1::DescribeReply reply;
  reply.set_version(options_.version);
  reply.set_abi_version(1);
  const absl::ReaderMutexLock lock(&current_mutex_);
  *reply.mutable_capacity() = CapacityLocked();
  reply.set_function(bound_);
  if (!current_) return reply;
  reply.set_revision(std::string(current_->pool->revision()));
  reply.set_handler(std::string(current_->pool->handler()));
  PoolState state = current_->pool->State();
  reply.set_busy(state.busy);
  reply.set_fork_server_pid(state.fork_server_pid);
  for (v1::WorkerInfo& worker : state.workers) *reply.add_workers() = std::move(worker);
  return reply;
}

v1::Capacity Replica::capacity() const {
  const absl::ReaderMutexLock lock(&current_mutex_);
  return CapacityLocked();
}

v1::Capacity Replica::CapacityLocked() const {
  v1::Capacity capacity;
  capacity.set_draining(draining_);
  if (current_) capacity.set_revision(std::string(current_->pool->revision()));
  if (current_ && !draining_) capacity.set_slots(current_->pool->slots());
  return capacity;
}

std::string Replica::NotReadyReason() const {
  const absl::ReaderMutexLock lock(&current_mutex_);
  if (draining_) return "draining";
  return current_ ? "" : "no module is loaded";
}

milliseconds Replica::timeout() const {
  const absl::ReaderMutexLock lock(&current_mutex_);
  return current_ ? current_->timeout : milliseconds(kDefaultTimeoutMs);
}

void Replica::Subscribe(CapacityListener* listener) {
  const std::lock_guard lock(listeners_mutex_);
  listeners_.insert(listener);
  listener->OnCapacity(capacity());
  if (closed_) listener->OnClose();
}

void Replica::Close() {
  const std::lock_guard lock(listeners_mutex_);
  closed_ = true;
  for (CapacityListener* listener : listeners_) listener->OnClose();
}

void Replica::Unsubscribe(CapacityListener* listener) {
  const std::lock_guard lock(listeners_mutex_);
  listeners_.erase(listener);
}

void Replica::Announce() {
  const std::lock_guard lock(listeners_mutex_);
  const v1::Capacity now = capacity();  // read under the lock: the last one told is the newest
  for (CapacityListener* listener : listeners_) listener->OnCapacity(now);
}

}  // namespace mayfly::runtime
