#include "runtime/pool/pool_core.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>

#include "base/log.h"
#include "base/thread.h"
#include "proto/problem.h"
#include "runtime/pool/backtrace.h"
#include "runtime/pool/folder_use.h"
#include "runtime/pool/memory_limit.h"
#include "runtime/pool/request_writer.h"
#include "runtime/pool/spawn.h"

namespace mayfly::runtime {
namespace {

constexpr auto kEmptyTimeout = std::chrono::seconds(1);
constexpr auto kShortSleep = std::chrono::milliseconds(50);

std::uint64_t MonotonicNanoseconds(std::chrono::steady_clock::time_point time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

PoolOptions WithDefaults(PoolOptions options) {
  if (options.worker_memory_bytes == 0) options.worker_memory_bytes = DefaultWorkerMemoryBytes();
  if (options.worker_tasks == 0)
    options.worker_tasks = std::max(64u, 4 * std::thread::hardware_concurrency());
  if (options.busy_before_waiting == 0)
    options.busy_before_waiting = std::max(1u, std::thread::hardware_concurrency());
  return options;
}

}  // namespace

void Call::Write(std::string_view data, bool end) { core_->Write(*this, data, end); }
void Call::Grant(std::uint64_t bytes) { core_->Grant(*this, bytes); }
void Call::Cancel() { core_->Cancel(*this); }

PoolCore::PoolCore(PoolOptions options, base::Metrics& metrics)
    : options_(WithDefaults(std::move(options))),
      metrics_(metrics, options_.function),
      symbolizer_(options_.symbolizer_program, options_.module_path) {}

PoolCore::~PoolCore() = default;

bool PoolCore::Open(v1::Problem& problem) {
  problem.set_component("runtime");
  problem.set_reason("RuntimeFailed");
  // Workers are forked by a process in between, and become children of this one.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::error_code error;
  const std::filesystem::path parent = options_.temporary_parent.empty()
                                           ? std::filesystem::temp_directory_path(error)
                                           : std::filesystem::path(options_.temporary_parent);
  if (error) {
    problem.set_message("there is no folder for temporary files; set TMPDIR to one that is there: " +
                        error.message());
    return false;
  }
  std::string folder = (parent / "mayfly-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    problem.set_message("cannot make a temporary folder " + folder + ": " + strerror(errno));
    return false;
  }
  temporary_folder_ = folder;
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  poke_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  look_timer_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_ || !poke_ || !look_timer_ || !Watch(poke_.get(), EPOLLIN | EPOLLET, Source::kPoke, 0) ||
      !Watch(look_timer_.get(), EPOLLIN | EPOLLET, Source::kLook, 0)) {
    problem.set_message(std::string("cannot make an epoll: ") + strerror(errno));
    return false;
  }
  try {
    thread_ = base::StartThread("worker-pool", [this](std::stop_token) { Run(); });
  } catch (const std::system_error& no_thread) {
    problem.set_message(std::string("cannot start a thread: ") + no_thread.what());
    return false;
  }
  std::unique_lock lock(mutex_);
  const bool decided =
      changed_.wait_for(lock, options_.create_timeout, [this] { return loaded_ || failed_; });
  if (loaded_) {
    problem.Clear();
    return true;
  }
  if (decided) {
    problem = problem_;
    return false;
  }
  problem =
      v1::MakeProblem("function", "CreateTimedOut",
                      "the module was not ready after " + std::to_string(options_.create_timeout.count()) +
                          " ms: its constructors or its create() take too long or hang");
  return false;
}

void PoolCore::Close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  Poke();
  if (thread_.joinable()) thread_.join();
  if (!temporary_folder_.empty()) {
    // What is not gone by then is for the owner of the folder around it, and blocks nobody here.
    EmptyFolder(temporary_folder_, std::chrono::steady_clock::now() + kEmptyTimeout);
    rmdir(temporary_folder_.c_str());
  }
}

void PoolCore::Poke() {
  const std::uint64_t one = 1;
  // It fails only if the counter is full, and then the thread is awake.
  [[maybe_unused]] const ssize_t written = write(poke_.get(), &one, sizeof(one));
}

std::shared_ptr<PoolCall> PoolCore::Start(const v1::Start& start, std::string_view body, bool body_complete,
                                          std::shared_ptr<ResponseSink> sink) {
  auto call = std::make_shared<Call>(shared_from_this(), std::move(sink), start.invocation_id(),
                                     options_.max_response_bytes);
  call->deadline = std::chrono::steady_clock::now() +
                   std::chrono::milliseconds(start.timeout_ms() == 0 ? 60'000 : start.timeout_ms());
  call->window = start.window();
  if (std::max<std::uint64_t>(start.body_size(), body.size()) > options_.max_request_bytes) {
    Refuse(*call, v1::OUTCOME_FAILED, "runtime", "RequestTooLarge",
           "the request body is larger than the limit of " + std::to_string(options_.max_request_bytes) +
               " bytes");
    return call;
  }
  std::string why_not;
  WorkerPtr worker;
  {
    const std::lock_guard lock(mutex_);
    if (closing_ || draining_) {
      why_not = "the replica drains";
    } else {
      const bool small = body_complete && body.size() <= ipc::kSmallAreaBytes;
      if (small && busy_ < options_.slots) {
        worker = PickBusy(std::chrono::steady_clock::now());
        if (worker != nullptr && StartSmall(call, start, body, worker)) return call;
      }
      worker = TakeWorker(why_not);
      if (worker != nullptr) {
        if (small && StartSmall(call, start, body, worker)) return call;
        Assign(worker, call);
        call->filling = true;
        ++busy_;
      }
    }
  }
  if (worker == nullptr) {
    Refuse(*call, v1::OUTCOME_NOT_STARTED, "runtime", "NoFreeSlot", why_not);
    return call;
  }
  // The slot is this call's alone now, so its memory is written without the mutex.
  const std::shared_ptr<Channel> channel = worker->channel;
  const auto head =
      WriteRequestHead(start, MonotonicNanoseconds(call->deadline), channel->large_area(), ipc::kHeadRoom);
  if (head.ok()) std::memcpy(channel->large_area() + *head, body.data(), body.size());
  const std::lock_guard lock(mutex_);
  call->filling = false;
  if (call->worker == nullptr) return call;
  if (!head.ok()) {
    call->too_large = true;
    Poke();
    return call;
  }
  call->body_offset = *head;
  call->written = body.size();
  channel->NoteWritten(*head + body.size());
  const Time now = std::chrono::steady_clock::now();
  if (body_complete) Give(call, now);
  WakeFor(*call);
  return call;
}

// Writes the whole request into a small area, and gives it to `worker`, busy or not; false if it does not fit.
bool PoolCore::StartSmall(const std::shared_ptr<Call>& call, const v1::Start& start, std::string_view body,
                          const WorkerPtr& worker) {
  char* const area = worker->channel->small_area();
  const auto head = WriteRequestHead(start, MonotonicNanoseconds(call->deadline), area, ipc::kSmallAreaBytes);
  if (!head.ok() || *head + body.size() > ipc::kSmallAreaBytes) return false;
  std::memcpy(area + *head, body.data(), body.size());
  call->small = true;
  call->body_offset = *head;
  call->written = body.size();
  ++busy_;
  Assign(worker, call);
  Give(call, std::chrono::steady_clock::now());
  WakeFor(*call);
  return true;
}

// A thread that sleeps long does not look at memory, nor know of this deadline.
void PoolCore::WakeFor(const Call& call) {
  if (call.deadline < sleeps_until_ || last_active_ + kShortSleep < sleeps_until_) Poke();
}

PoolCore::WorkerPtr PoolCore::TakeWorker(std::string& why_not) {
  while (!idle_.empty()) {
    WorkerPtr worker = std::move(idle_.back());
    idle_.pop_back();
    // Nothing may be in the ring of a worker that runs nothing.
    if (!worker->channel->ring().HasMore()) return worker;
    KillWorker(worker, "BadAnswer");
  }
  if (taken_slots_ >= options_.slots) {
    why_not = "all " + std::to_string(options_.slots) + " slots are busy";
    return nullptr;
  }
  if (server_failures_ > 1 && !AnyServerReady()) {
    why_not = "the function's fork server keeps failing: " + problem_.message();
    return nullptr;
  }
  auto worker = NewWorker(nullptr);
  if (!worker.ok()) {
    why_not = "no worker can be started: " + std::string(worker.status().message());
    return nullptr;
  }
  return *worker;
}

void PoolCore::Give(const std::shared_ptr<Call>& call, Time now) {
  WorkerProcess& worker = *call->worker;
  Channel& channel = *worker.channel;
  const bool waits = worker.call != call;
  if (call->small) {
    WriteBodySize(channel.small_area(), call->written);
  } else {
    WriteBodySize(channel.large_area(), call->written);
  }
  call->given = true;
  call->given_at = now;
  last_active_ = now;
  // What a new worker took before it had an invocation is not this one's.
  if (!waits && worker.invocations == 0 && worker.pid > 0) worker.cpu_mark = CpuTime(worker.pid);
  // A thread that sleeps has armed only those that were busy then.
  if (sleeps_until_ != Time{}) channel.Arm();
  call->number = channel.Give(!call->small);
  if (worker.log != nullptr) worker.log->Given(call->number, call->id, waits);
  // Whoever waits is looked after, and so is the answer of the one before, of which the worker need not tell.
  if (waits && sleeps_until_ != Time{} && look_timer_at_ <= now) SetLookTimer(now + kLookEvery);
}

void PoolCore::Write(Call& call, std::string_view data, bool end) {
  std::shared_ptr<Channel> channel;
  std::size_t at = 0;
  {
    const std::lock_guard lock(mutex_);
    if (call.worker == nullptr || call.given || call.too_large) return;
    if (data.size() > options_.max_request_bytes - call.written) {
      call.too_large = true;
      Poke();
      return;
    }
    channel = call.worker->channel;
    at = call.body_offset + call.written;
    call.filling = true;
  }
  std::memcpy(channel->large_area() + at, data.data(), data.size());
  const std::lock_guard lock(mutex_);
  call.filling = false;
  if (call.worker == nullptr) return;
  call.written += data.size();
  channel->NoteWritten(at + data.size());
  if (end) Give(call.worker->call, std::chrono::steady_clock::now());
}

void PoolCore::Grant(Call& call, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (call.worker == nullptr) return;
  call.window += std::min(bytes, UINT64_MAX - call.window);
  if (!call.blocked) return;
  call.blocked = false;
  Poke();
}

void PoolCore::Cancel(Call& call) {
  const std::lock_guard lock(mutex_);
  if (call.worker == nullptr) return;
  call.cancelled = true;
  Poke();
}

void PoolCore::Refuse(Call& call, v1::Outcome outcome, const char* component, const char* reason,
                      std::string message) {
  v1::ResponsePart part;
  *part.mutable_result() = v1::MakeResult(outcome, component, reason, std::move(message));
  metrics_.Invocation(outcome, {}, {}, 0);
  call.sink->OnPart(std::move(part));
  call.sink->OnFlush();
}

// A worker was killed for the threads that its handler left: they could read what the next invocation gets, and use its
// time. It may do so each time, so another is forked before it is asked for.
void PoolCore::MakeUpForThreads(const std::string& invocation, pid_t pid) {
  if (!std::exchange(told_of_threads_, true)) {
    base::log::Warn(
        "the handler left threads behind; its worker is replaced after each such invocation. Threads that "
        "stay belong in "
        "after_fork()",
        {{"function", options_.function}, {"pid", pid}, {"invocation", invocation}});
  }
  if (closing_ || draining_ || !idle_.empty() || taken_slots_ >= options_.slots) return;
  if (auto worker = NewWorker(nullptr); worker.ok()) idle_.push_back(*worker);
}

void PoolCore::EndCall(std::shared_ptr<Call> call, v1::Result&& result, const WorkerPtr& worker,
                       std::chrono::microseconds used, const CrashNotes& notes) {
  // What only waited has used nothing.
  if (!call->given || worker->call != call)
    return Conclude(std::move(call), std::move(result), worker, nullptr, notes);
  const Time now = std::chrono::steady_clock::now();
  const bool alive = used.count() == 0 && worker->pid > 0;
  if (alive) used = CpuTime(worker->pid);
  Usage usage;
  usage.wall =
      std::chrono::duration_cast<std::chrono::microseconds>(now - std::max(call->given_at, worker->ended_at));
  if (used > worker->cpu_mark) usage.cpu = used - worker->cpu_mark;
  worker->cpu_mark = std::max(worker->cpu_mark, used);
  worker->ended_at = now;
  if (alive) NotePeak(worker, usage.cpu, now);
  Conclude(std::move(call), std::move(result), worker, &usage, notes);
}

void PoolCore::Conclude(std::shared_ptr<Call> call, v1::Result&& result, const WorkerPtr& worker,
                        const Usage* usage, const CrashNotes& notes) {
  const Time now = std::chrono::steady_clock::now();
  const Usage used = usage != nullptr ? *usage : Usage{};
  if (usage != nullptr) {
    ++worker->invocations;
    v1::Metering& metering = *result.mutable_metering();
    metering.set_wall_us(static_cast<std::uint64_t>(used.wall.count()));
    metering.set_cpu_us(static_cast<std::uint64_t>(used.cpu.count()));
    metering.set_peak_rss_bytes(worker->peak_bytes);
    metering.set_cold(std::exchange(cold_, false));
  }
  last_active_ = now;
  metrics_.Invocation(result.outcome(), used.wall, used.cpu, result.metering().peak_rss_bytes());
  Ending ending{{call->sink, {}}, call->id, worker->pid};
  if (call->answer.HasPart()) ending.delivery.part = call->answer.TakePart();
  *ending.delivery.part.mutable_result() = std::move(result);
  call->worker = nullptr;
  if (worker->call == call) Advance(worker);
  --busy_;
  if (notes.frames.empty()) {
    Tell(std::move(ending));
  } else {
    TellWithBacktrace(std::move(ending), notes, std::min(call->deadline, now + options_.backtrace_timeout));
  }
  if (draining_) changed_.notify_all();
}

void PoolCore::Tell(Ending&& ending) {
  if (ending.delivery.part.result().outcome() != v1::OUTCOME_OK) LogFailure(ending);
  outbox_.push_back(std::move(ending.delivery));
}

void PoolCore::TellWithBacktrace(Ending&& ending, const CrashNotes& notes, Time deadline) {
  const auto frames = LocateFrames(notes);
  const auto tell = [this, frames](Ending&& told, const Symbolizer::Answers& answers) {
    v1::Result& result = *told.delivery.part.mutable_result();
    for (std::string& line : DescribeFrames(frames, answers)) result.add_backtrace(std::move(line));
    Tell(std::move(told));
  };
  if (const auto known = symbolizer_.Known(frames)) return tell(std::move(ending), *known);
  const auto waiting = std::make_shared<Ending>(std::move(ending));
  const bool asked =
      symbolizer_.Ask(frames, deadline, [this, waiting, tell](const Symbolizer::Answers& answers) {
        const std::lock_guard lock(mutex_);
        --symbolizing_;
        tell(std::move(*waiting), answers);
        Poke();
      });
  if (asked) {
    ++symbolizing_;  // the answer needs the mutex, which is held here
  } else {
    tell(std::move(*waiting), {});
  }
}

void PoolCore::LogFailure(const Ending& ending) const {
  const v1::Result& result = ending.delivery.part.result();
  const auto level = result.outcome() == v1::OUTCOME_FAILED || result.outcome() == v1::OUTCOME_CANCELLED
                         ? base::log::Level::kInfo
                         : base::log::Level::kWarn;
  std::string trace;
  for (const std::string& frame : result.backtrace()) trace += (trace.empty() ? "" : "; ") + frame;
  base::log::Write(level, "invocation failed",
                   {{"function", options_.function},
                    {"revision", options_.revision},
                    {"invocation", ending.id},
                    {"pid", ending.pid},
                    {"reason", result.problem().reason()},
                    {"problem", result.problem().message()},
                    {"backtrace", trace}});
}

std::uint32_t PoolCore::Drain(Time deadline) {
  std::unique_lock lock(mutex_);
  draining_ = true;
  changed_.wait_until(lock, deadline,
                      [this] { return busy_ == 0 && symbolizing_ == 0 && outbox_.empty() && !delivering_; });
  return busy_ + symbolizing_;
}

PoolState PoolCore::State() const {
  const std::lock_guard lock(mutex_);
  PoolState state;
  state.busy = busy_;
  state.waited = waited_;
  state.taken_back = taken_back_;
  state.forks = forks_;
  for (const ServerPtr& server : servers_) {
    if (server->state != ServerProcess::State::kGone) state.fork_server_pid = server->pid;
  }
  for (const WorkerPtr& worker : workers_) {
    if (worker->pid == 0 || worker->state == WorkerProcess::State::kKilled) continue;
    v1::WorkerInfo& info = state.workers.emplace_back();
    info.set_pid(worker->pid);
    info.set_revision(options_.revision);
    info.set_busy(worker->call != nullptr && worker->call->given &&
                  worker->channel->Taken(worker->call->number));
    info.set_invocations(worker->invocations);
    info.set_rss_bytes(ResidentBytes(worker->pid));
  }
  return state;
}

}  // namespace mayfly::runtime
