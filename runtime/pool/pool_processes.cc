#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/utf8.h"
#include "proto/problem.h"
#include "runtime/ipc/control.h"
#include "runtime/pool/pool_core.h"
#include "runtime/pool/process_registry.h"
#include "runtime/pool/spare_worker.h"
#include "runtime/pool/spawn.h"

namespace mayfly::runtime {
namespace {

// A fork server that lived this long had no trouble with its module.
constexpr auto kHealthyLife = std::chrono::seconds(10);
constexpr auto kFirstBackoff = std::chrono::milliseconds(50);
constexpr auto kLastBackoff = std::chrono::seconds(10);
// Workers that a dying fork server was just making announce themselves within this time, or never.
constexpr auto kLateBirths = std::chrono::milliseconds(200);
constexpr auto kGroupEnds = std::chrono::seconds(5);
constexpr int kMaxReplacements = 1;
// A fork that fails (EAGAIN while a fork bomb beside it dies, ENOMEM) is tried again, first after this time and then twice
// as long each time; what waits fails after so many in a row, and can go to another replica.
constexpr auto kFirstForkBackoff = std::chrono::milliseconds(10);
constexpr std::uint32_t kForkTries = 7;

CrashNotes ReadLaunchMemory(int memory) {
  CrashNotes notes;
  void* mapped = mmap(nullptr, sizeof(ipc::CrashReport), PROT_READ, MAP_SHARED, memory, 0);
  if (mapped == MAP_FAILED) return notes;
  notes = CopyCrashReport(*static_cast<const ipc::CrashReport*>(mapped));
  munmap(mapped, sizeof(ipc::CrashReport));
  return notes;
}

// Whether the process ended by what the module did, and not in order, with a sentence, nor from outside.
bool IsOwnFault(int status, const CrashNotes& notes) {
  if (WIFSIGNALED(status)) return WTERMSIG(status) != SIGKILL;
  return notes.kind != ipc::CrashKind::kException;
}

v1::Problem WhyEnded(const ServerProcess& server, int status, bool was_creating, std::uint64_t memory_bytes) {
  if (!server.fault.reason().empty()) return server.fault;
  v1::Problem problem =
      Explain(status, ReadLaunchMemory(server.launch_memory.get()), memory_bytes, "it").problem;
  // What came from outside says nothing about the module: whoever loads it may try again.
  const bool from_outside = problem.reason() == "WorkerKilled";
  if (was_creating) {
    problem.set_reason(from_outside ? "CreateKilled" : "CreateCrashed");
    problem.set_message((from_outside ? "the module did not get through create(): "
                                      : "the module crashed while it was mapped or in create(): ") +
                        problem.message());
  } else {
    problem.set_reason(from_outside ? "ForkServerKilled" : "ForkServerEnded");
    problem.set_message("the process that workers are forked from ended after create(): " +
                        problem.message());
  }
  return problem;
}

}  // namespace

PoolCore::WorkerPtr PoolCore::FindWorker(std::uint64_t key) const {
  const auto found =
      std::find_if(workers_.begin(), workers_.end(), [key](const WorkerPtr& w) { return w->key == key; });
  return found == workers_.end() ? nullptr : *found;
}

PoolCore::ServerPtr PoolCore::FindServer(std::uint64_t key) const {
  const auto found =
      std::find_if(servers_.begin(), servers_.end(), [key](const ServerPtr& s) { return s->key == key; });
  return found == servers_.end() ? nullptr : *found;
}

bool PoolCore::AnyServerReady() const {
  return std::any_of(servers_.begin(), servers_.end(),
                     [](const ServerPtr& server) { return server->state == ServerProcess::State::kReady; });
}

void PoolCore::StartServer(Time now) {
  ipc::LaunchBlock launch;
  launch.label = options_.function;
  launch.module_path = options_.module_path;
  launch.handler = options_.handler;
  launch.config_json = options_.config_json;
  launch.temporary_folder = temporary_folder_;
  launch.environment.assign(options_.environment.begin(), options_.environment.end());
  launch.memory_bytes = options_.worker_memory_bytes;
  launch.max_tasks = options_.worker_tasks * (options_.slots + 1);
  launch.max_request_bytes = options_.max_request_bytes;
  launch.runtime_pid = getpid();
  const auto fail = [&](const absl::Status& status) {
    problem_ = v1::MakeProblem("runtime", "RuntimeFailed", std::string(status.message()));
    failed_ = !loaded_;
    ++server_failures_;
    server_restart_at_ = now + kLastBackoff;
    changed_.notify_all();
  };
  std::optional<SpawnedProgram> spawned;
  if (options_.spare != nullptr) spawned = options_.spare->Take(launch);
  if (!spawned) {
    absl::StatusOr<SpawnedProgram> started = SpawnWorkerProgram(options_.worker_program, launch);
    if (!started.ok()) return fail(started.status());
    spawned = *std::move(started);
  }
  auto server = std::make_shared<ServerProcess>();
  server->key = next_key_++;
  server->pid = spawned->pid;
  server->pidfd = std::move(spawned->pidfd);
  server->control = std::move(spawned->control);
  server->launch_memory = std::move(spawned->launch_memory);
  server->log = std::make_shared<LogReader>(std::move(spawned->log), options_.function, options_.revision);
  server->log->set_pid(server->pid);
  server->started = now;
  server->create_deadline = now + options_.create_timeout;
  if (!Watch(server->control.get(), EPOLLIN, Source::kControl, server->key) ||
      !Watch(server->pidfd.get(), EPOLLIN, Source::kServerExit, server->key) ||
      !Watch(server->log->fd(), EPOLLIN, Source::kServerLog, server->key)) {
    const int error = errno;
    EndChild(server->pid);
    return fail(base::ErrnoStatus(error, "watch a fork server"));
  }
  ProcessRegistry::Add(server->pid);
  servers_.push_back(std::move(server));
}

void PoolCore::ReadControl(const ServerPtr& server, Time now) {
  ipc::ServerMessage message;
  while (true) {
    pid_t sender = 0;
    switch (ipc::ReceiveMessage(server->control.get(), message, sender)) {
      case ipc::Received::kNothing:
        return;
      case ipc::Received::kMalformed:
        EndServer(server, "BadControlMessage",
                  "the module wrote to the control socket of its process, or corrupted what the process "
                  "sends there");
        return;
      case ipc::Received::kClosed:
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, server->control.get(), nullptr);
        server->forget_at = now;
        return;
      case ipc::Received::kMessage:
        break;
    }
    const std::string_view text(message.text, message.text_size);
    switch (message.kind) {
      case ipc::ServerMessageKind::kReady:
        if (server->state != ServerProcess::State::kCreating || sender != server->pid) break;
        OnReady(server, base::CleanUtf8(text), (message.flags & ipc::kReadyForks) != 0,
                {std::chrono::microseconds(message.map_us), std::chrono::microseconds(message.init_us)});
        break;
      case ipc::ServerMessageKind::kRefused: {
        if (server->state != ServerProcess::State::kCreating) break;
        const std::size_t zero = text.find('\0');
        problem_.set_component("function");
        problem_.set_reason(base::CleanUtf8(text.substr(0, zero)));
        problem_.set_message(zero == std::string_view::npos ? std::string()
                                                            : base::CleanUtf8(text.substr(zero + 1)));
        server->fault = problem_;
        failed_ = !loaded_;
        changed_.notify_all();
        break;
      }
      case ipc::ServerMessageKind::kBorn:
        OnBorn(message.token, sender);
        break;
      case ipc::ServerMessageKind::kForkFailed:
        if (sender != 0 && sender == server->pid) OnForkFailed(message.token, message.value);
        break;
    }
  }
}

void PoolCore::OnReady(const ServerPtr& server, const std::string& handler, bool forks, LoadTimes times) {
  server->state = ServerProcess::State::kReady;
  if (!loaded_) {
    handler_ = handler;
    forks_ = forks;
    load_times_ = times;
    loaded_ = true;
    last_active_ = std::chrono::steady_clock::now();
    // The first invocation finds a worker that was forked while its request was on the way.
    if (auto worker = NewWorker(nullptr); worker.ok()) idle_.push_back(*worker);
    changed_.notify_all();
  }
}

// Ends a fork server, whose exit will not tell why.
void PoolCore::EndServer(const ServerPtr& server, const char* reason, std::string message) {
  if (server->pid == 0 || !server->fault.reason().empty()) return;
  base::log::Warn("a fork server is stopped", {{"function", options_.function},
                                               {"revision", options_.revision},
                                               {"pid", server->pid},
                                               {"reason", reason},
                                               {"problem", message}});
  server->fault = v1::MakeProblem("function", reason, std::move(message));
  KillGroup(server->pid);
}

void PoolCore::OnServerExit(const ServerPtr& server, Time now) {
  ReadControl(server, now);
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, server->pidfd.get(), nullptr);
  server->log->ReadSome();
  server->log->Finish();
  // Once it is reaped its number may be anyone's.
  const pid_t pid = std::exchange(server->pid, 0);
  KillGroup(pid);
  ProcessRegistry::Remove(pid);
  int status = 0;
  waitpid(pid, &status, 0);
  groups_.emplace_back(pid, now + kGroupEnds);
  const bool was_creating = server->state == ServerProcess::State::kCreating;
  server->state = ServerProcess::State::kGone;
  if (server->forget_at == Time{}) server->forget_at = now + kLateBirths;
  if (closing_) return;
  if (!failed_) problem_ = WhyEnded(*server, status, was_creating, options_.worker_memory_bytes);
  if (was_creating && !failed_) {
    failed_ = !loaded_;
    changed_.notify_all();
  }
  if (!loaded_) return;
  // One that is ready and dies before any worker came of it is as bad as one that does not get ready.
  const bool healthy = server->proven || now - server->started >= kHealthyLife;
  server_failures_ = healthy ? 1 : server_failures_ + 1;
  const auto backoff =
      std::min<Time::duration>(kFirstBackoff * (1u << std::min(server_failures_, 10u)), kLastBackoff);
  server_restart_at_ =
      server_failures_ <= 1 ? std::max<Time>(now, server->started + kFirstBackoff) : now + backoff;
  base::log::Warn(
      "the fork server died; a new one is started",
      {{"function", options_.function},
       {"revision", options_.revision},
       {"pid", pid},
       {"status", status},
       {"reason", problem_.reason()},
       {"problem", problem_.message()},
       {"backoff_ms",
        std::chrono::duration_cast<std::chrono::milliseconds>(server_restart_at_ - now).count()}});
}

// Workers that it did not make are wanted again.
void PoolCore::ForgetServer(const ServerPtr& server) {
  for (const WorkerPtr& worker : workers_) {
    if (worker->server_key != server->key || worker->pid != 0) continue;
    if (worker->state == WorkerProcess::State::kStarting) {
      worker->state = WorkerProcess::State::kWanted;
      wanted_.push_back(worker);
    }
  }
  // Those that were given up while they were starting will never come.
  for (std::size_t i = workers_.size(); i-- > 0;) {
    const WorkerPtr worker = workers_[i];
    if (worker->server_key == server->key && worker->pid == 0 &&
        worker->state == WorkerProcess::State::kKilled) {
      RemoveWorker(worker);
    }
  }
  std::erase(servers_, server);
}

// Finds fork servers for the workers that wait for one, and starts those that are missing.
void PoolCore::ServeWanted(Time now) {
  for (std::size_t i = servers_.size(); i-- > 0;) {
    const ServerPtr server = servers_[i];
    if (server->state == ServerProcess::State::kGone && now >= server->forget_at) {
      ForgetServer(server);
    } else if (server->state == ServerProcess::State::kCreating && loaded_ &&
               now >= server->create_deadline) {
      EndServer(server, "CreateTimedOut",
                "create() was not done after " + std::to_string(options_.create_timeout.count()) + " ms");
    }
  }
  std::size_t creating = 0;
  bool ready = false;
  for (std::size_t i = servers_.size(); i-- > 0;) {
    const ServerPtr server = servers_[i];
    if (server->state == ServerProcess::State::kCreating) ++creating;
    if (server->state != ServerProcess::State::kReady) continue;
    ready = true;
    while (!wanted_.empty() && now >= fork_again_at_) {
      const WorkerPtr worker = wanted_.front();
      if (worker->state != WorkerProcess::State::kWanted) {
        wanted_.pop_front();
        if (worker->state == WorkerProcess::State::kKilled) RemoveWorker(worker);
        continue;
      }
      if (!SpawnFrom(server, worker)) break;
      wanted_.pop_front();
      if (!forks_) break;  // it is a worker now itself
    }
  }
  if (!loaded_) return;
  if (now < server_restart_at_) {
    if (server_failures_ > 1 && !ready && creating == 0) RefuseWanted();
    return;
  }
  if (forks_ ? !ready && creating == 0 : creating < wanted_.size()) StartServer(now);
}

// The next fork server will not be soon: what waits for it learns why, and can go to another replica.
void PoolCore::RefuseWanted() {
  while (!wanted_.empty()) {
    const WorkerPtr worker = wanted_.front();
    wanted_.pop_front();
    if (worker->call != nullptr) {
      EndCall(worker->call,
              v1::MakeResult(v1::OUTCOME_NOT_STARTED, "worker", "ForkServerFailed",
                             "the function's fork server keeps failing: " + problem_.message()),
              worker);
    }
    RemoveWorker(worker);
  }
}

bool PoolCore::SpawnFrom(const ServerPtr& server, const WorkerPtr& worker) {
  const ipc::SpawnCommand command{worker->key};
  if (!ipc::SendCommand(server->control.get(), command,
                        {worker->channel->memory(), worker->doorbell.get(), worker->log_write_end.get()})) {
    return false;
  }
  worker->state = WorkerProcess::State::kStarting;
  worker->server_key = server->key;
  worker->start_deadline = std::chrono::steady_clock::now() + options_.fork_timeout;
  if (forks_) return true;
  server_failures_ = 0;
  // The server itself becomes the worker; its socket has said all it had to.
  worker->log_write_end.Reset();
  worker->pid = server->pid;
  worker->pidfd = std::move(server->pidfd);
  worker->cpu_mark = CpuTime(worker->pid);
  worker->log->set_pid(worker->pid);
  worker->state = WorkerProcess::State::kLive;
  worker->channel->Admit();
  Watch(worker->pidfd.get(), EPOLLIN, Source::kWorkerExit, worker->key, EPOLL_CTL_MOD);
  metrics_.WorkerStarted();
  const ServerPtr gone = server;
  gone->log->ReadSome();
  gone->log->Finish();
  std::erase(servers_, gone);
  return true;
}

absl::StatusOr<PoolCore::WorkerPtr> PoolCore::NewWorker(std::shared_ptr<Channel> channel) {
  auto worker = std::make_shared<WorkerProcess>();
  if (channel == nullptr) {
    auto created = Channel::Create(options_.max_request_bytes);
    if (!created.ok()) return created.status();
    channel = std::move(*created);
  }
  auto log = MakeLogPipe();
  if (!log.ok()) return log.status();
  worker->key = next_key_++;
  worker->channel = std::move(channel);
  worker->doorbell.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!worker->doorbell) return base::ErrnoStatus(errno, "eventfd for a worker");
  worker->log = std::make_shared<LogReader>(std::move(log->first), options_.function, options_.revision);
  worker->log_write_end = std::move(log->second);
  if (!Watch(worker->doorbell.get(), EPOLLIN | EPOLLET, Source::kDoorbell, worker->key) ||
      !Watch(worker->log->fd(), EPOLLIN, Source::kWorkerLog, worker->key)) {
    return base::ErrnoStatus(errno, "watch a worker");
  }
  worker->idle_since = std::chrono::steady_clock::now();
  workers_.push_back(worker);
  ++taken_slots_;
  const auto ready = std::find_if(servers_.begin(), servers_.end(), [](const ServerPtr& server) {
    return server->state == ServerProcess::State::kReady;
  });
  if (!wanted_.empty() || ready == servers_.end() || !SpawnFrom(*ready, worker)) {
    wanted_.push_back(worker);
    Poke();
  }
  return worker;
}

void PoolCore::OnBorn(std::uint64_t token, pid_t pid) {
  const WorkerPtr worker = FindWorker(token);
  // A pid is believed only if it is a child of this process that no pool knows yet.
  if (worker == nullptr || worker->pid != 0 || !IsOwnChild(pid) || !ProcessRegistry::Add(pid)) return;
  setpgid(pid, pid);
  worker->pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (closing_ || !worker->pidfd || !Watch(worker->pidfd.get(), EPOLLIN, Source::kWorkerExit, worker->key)) {
    // Its end would not be noticed.
    const int error = errno;
    worker->pidfd.Reset();
    EndChild(pid);
    ProcessRegistry::Remove(pid);
    if (worker->state == WorkerProcess::State::kKilled) {
      RemoveWorker(worker);
    } else if (!closing_) {
      OnForkFailed(token, error);
    }
    return;
  }
  fork_failures_ = 0;
  server_failures_ = 0;
  if (const ServerPtr server = FindServer(worker->server_key)) server->proven = true;
  worker->pid = pid;
  worker->log_write_end.Reset();
  worker->log->set_pid(pid);
  if (worker->state == WorkerProcess::State::kKilled) {
    KillGroup(pid);
    return;
  }
  worker->state = WorkerProcess::State::kLive;
  metrics_.WorkerStarted();
  worker->channel->Admit();
}

void PoolCore::OnForkFailed(std::uint64_t token, int error) {
  const WorkerPtr worker = FindWorker(token);
  if (worker == nullptr || worker->pid != 0) return;
  if (++fork_failures_ == 1) {
    base::log::Warn("a worker could not be forked; it is tried again",
                    {{"function", options_.function}, {"error", strerror(error)}});
  }
  if (fork_failures_ < kForkTries && worker->state == WorkerProcess::State::kStarting) {
    worker->state = WorkerProcess::State::kWanted;
    worker->server_key = 0;
    wanted_.push_front(worker);
    fork_again_at_ = std::chrono::steady_clock::now() + kFirstForkBackoff * (1u << (fork_failures_ - 1));
    return;
  }
  if (worker->call != nullptr) {
    EndCall(worker->call,
            v1::MakeResult(v1::OUTCOME_NOT_STARTED, "worker", "ForkFailed",
                           std::string("a worker could not be forked: ") + strerror(error)),
            worker);
  }
  RemoveWorker(worker);
}

void PoolCore::OnWorkerExit(const WorkerPtr& worker) {
  // It may have answered before it died.
  if (worker->call != nullptr && worker->call->given && !worker->spoiled) {
    worker->call->blocked = false;
    Collect(worker);
  }
  worker->log->ReadSome();
  worker->log->Finish();
  // While the leader is not reaped, its number cannot be anyone else's.
  KillGroup(worker->pid);
  ProcessRegistry::Remove(worker->pid);
  int status = 0;
  rusage usage{};
  wait4(worker->pid, &status, 0, &usage);
  const bool was_killed = worker->state == WorkerProcess::State::kKilled;
  const bool was_leaving = worker->state == WorkerProcess::State::kLeaving;
  const std::shared_ptr<Call> call = worker->call;
  std::deque<std::shared_ptr<Call>> waiting;
  waiting.swap(worker->waiting);
  waiting_ -= static_cast<std::uint32_t>(waiting.size());
  const CrashNotes notes = CopyCrashReport(worker->channel->crash());
  // What waited needs a slot.
  FreeSlot(worker);
  // What came before the first invocation, of which there may be none yet, is after_fork(): the rest is the worker's own.
  const bool in_after_fork =
      worker->invocations == 0 && (call == nullptr || !call->given || worker->channel->Offered(call->number));
  const Death death = Explain(status, notes, options_.worker_memory_bytes,
                              !in_after_fork ? "the handler"
                              : forks_       ? "after_fork()"
                                             : "the module");
  if (!was_killed && !was_leaving) metrics_.WorkerDied(death.problem.reason());
  if (call != nullptr) {
    if (worker->spoiled) {
      Judge(call, worker, death.problem);
    } else if (call->given && !worker->channel->Offered(call->number)) {
      v1::Result result;
      result.set_outcome(death.outcome);
      *result.mutable_problem() = death.problem;
      worker->peak_bytes = std::max(worker->peak_bytes, static_cast<std::uint64_t>(usage.ru_maxrss) * 1024);
      EndCall(call, std::move(result), worker, CpuTime(usage), notes);
    } else {
      Replace(call, worker, death, in_after_fork && forks_ && IsOwnFault(status, notes));
    }
  } else if (!was_killed && !was_leaving) {
    base::log::Warn("an idle worker died", {{"function", options_.function},
                                            {"pid", worker->pid},
                                            {"reason", death.problem.reason()},
                                            {"problem", death.problem.message()}});
  }
  for (const std::shared_ptr<Call>& each : waiting) Judge(each, worker, death.problem);
  groups_.emplace_back(worker->pid, std::chrono::steady_clock::now() + kGroupEnds);
  RemoveWorker(worker);
}

// The invocation did not start, and goes to another worker. A large one's channel goes with all that is in it. `own_fault`: the
// module's, so that no other replica will do better.
void PoolCore::Replace(const std::shared_ptr<Call>& call, const WorkerPtr& worker, const Death& why,
                       bool own_fault) {
  if (++call->replacements <= kMaxReplacements) {
    if (call->small) {
      if (worker->call == call) Advance(worker);
      PlaceAgain(call, worker);
      return;
    }
    worker->channel->HandOver();
    if (auto fresh = NewWorker(worker->channel); fresh.ok()) {
      Advance(worker);
      Assign(*fresh, call);
      if (call->given) Give(call, call->given_at);
      return;
    }
  }
  const std::string message = "the worker died before it took the invocation: " + why.problem.message();
  v1::Result result = own_fault ? v1::MakeResult(why.outcome, "function", "AfterForkCrashed", message)
                                : v1::MakeResult(v1::OUTCOME_NOT_STARTED, "worker", "WorkerGone", message);
  call->given = false;
  EndCall(call, std::move(result), worker);
}

// Takes the worker out of its slot at once; it is reaped when the kernel is done with it.
void PoolCore::KillWorker(const WorkerPtr& worker, const char* reason) {
  if (worker->state == WorkerProcess::State::kKilled) return;
  metrics_.WorkerDied(reason);
  std::erase(idle_, worker);
  if (worker->state != WorkerProcess::State::kLeaving) --taken_slots_;
  const bool wanted = worker->state == WorkerProcess::State::kWanted;
  worker->state = WorkerProcess::State::kKilled;
  if (worker->pid != 0) KillGroup(worker->pid);
  if (wanted) {
    std::erase(wanted_, worker);
    RemoveWorker(worker);
  }
}

void PoolCore::FreeSlot(const WorkerPtr& worker) {
  if (worker->state != WorkerProcess::State::kKilled && worker->state != WorkerProcess::State::kLeaving)
    --taken_slots_;
  worker->state = WorkerProcess::State::kKilled;
}

void PoolCore::RemoveWorker(const WorkerPtr& worker) {
  std::erase(idle_, worker);
  FreeSlot(worker);
  std::erase(workers_, worker);
}

void PoolCore::CountWorkers() { metrics_.Workers(busy_, idle_.size()); }

}  // namespace mayfly::runtime
