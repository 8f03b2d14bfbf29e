#include "operator/local/replica_supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/thread.h"

namespace mayfly::op {
namespace {

using std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr milliseconds kShutdownGrace{400};
constexpr milliseconds kOrphanCheck{5'000};
constexpr std::size_t kLongestLine = 16u << 10;
// What one turn of the loop reads from one replica, so that a chatty one starves nobody.
constexpr std::size_t kBytesPerTurn = 64u << 10;

enum Kind : std::uint64_t { kWake = 0, kOutput = 1, kReady = 2, kExit = 3 };

std::uint64_t Tag(std::uint64_t id, Kind kind) { return id << 2 | kind; }

void Kill(const Child& child, int signal) { ::kill(child.pid, signal); }

}  // namespace

// A replica's process, as its loop knows it.
struct ReplicaSupervisor::Process {
  std::string name;
  std::string function;
  std::string folder;
  Child child;
  base::FileDescriptor output;
  base::FileDescriptor ready;
  std::string partial;                 // of a line
  std::string last_line;               // for the message if it fails
  std::optional<SteadyTime> start_by;  // until it is ready
  std::optional<SteadyTime> kill_at;   // once it was asked to end
  bool timed_out = false;
};

// The supervisor's thread.
class ReplicaSupervisor::Loop {
 public:
  explicit Loop(ReplicaSupervisor& owner) : owner_(owner) {}

  void Run(const std::stop_token& stop) {
    bool stopping = false;
    for (;;) {
      if (stop.stop_requested() && !stopping) {
        stopping = true;
        const SteadyTime kill_at = std::chrono::steady_clock::now() + kShutdownGrace;
        for (auto& [id, process] : processes_) AskToEnd(process, kill_at);
      }
      if (stopping && processes_.empty()) break;
      Wait();
      if (!stopping) TakeCommands();
      Enforce(std::chrono::steady_clock::now());
    }
    KillOrphans();
  }

 private:
  void Wait() {
    SteadyTime until = std::chrono::steady_clock::now() + kOrphanCheck;
    for (const auto& [id, process] : processes_) {
      if (process.start_by) until = std::min(until, *process.start_by);
      if (process.kill_at) until = std::min(until, *process.kill_at);
    }
    const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
    constexpr int kEvents = 64;
    epoll_event events[kEvents];
    const int count = ::epoll_wait(owner_.epoll_.get(), events, kEvents,
                                   static_cast<int>(std::max<milliseconds::rep>(left.count(), 0)));
    if (count == 0) KillOrphans();
    for (int i = 0; i < count; ++i) {
      const std::uint64_t id = events[i].data.u64 >> 2;
      const auto kind = static_cast<Kind>(events[i].data.u64 & 3);
      if (kind == kWake) {
        std::uint64_t ignored = 0;
        (void)!::read(owner_.wake_.get(), &ignored, sizeof ignored);
        continue;
      }
      const auto it = processes_.find(id);
      if (it == processes_.end()) continue;
      if (kind == kOutput) {
        ReadOutput(it->second);
      } else if (kind == kReady) {
        ReadReady(it->second);
      } else {
        Reap(it);
      }
    }
  }

  void TakeCommands() {
    std::vector<std::string> start;
    std::vector<std::string> stop;
    {
      const std::lock_guard lock(owner_.mutex_);
      start.swap(owner_.to_start_);
      stop.swap(owner_.to_stop_);
    }
    for (const std::string& name : start) StartReplica(name);
    for (const std::string& name : stop) StopReplica(name);
  }

  void StartReplica(const std::string& name) {
    Process process;
    std::uint64_t id = 0;
    {
      const std::lock_guard lock(owner_.mutex_);
      const auto it = owner_.entries_.find(name);
      if (it == owner_.entries_.end()) return;
      if (it->second.deleted) {
        EraseEntry(it);
        return;
      }
      id = it->second.id;
      process.name = name;
      process.function = it->second.view.function;
    }
    process.folder = absl::StrCat(owner_.options_.dir, "/", id);
    if (absl::Status status = Launch(id, process); !status.ok()) {
      RemoveFolder(process);
      Fail(process, std::string(status.message()));
      return;
    }
    process.start_by = std::chrono::steady_clock::now() + owner_.options_.start_timeout;
    processes_.emplace(id, std::move(process));
  }

  absl::Status Launch(std::uint64_t id, Process& process) {
    const std::string state = absl::StrCat(process.folder, "/state");
    if (::mkdir(process.folder.c_str(), 0700) != 0 || ::mkdir(state.c_str(), 0700) != 0) {
      return base::ErrnoStatus(errno, absl::StrCat("cannot make ", state));
    }
    int output[2];
    int ready[2];
    if (::pipe2(output, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "cannot make a pipe");
    process.output.Reset(output[0]);
    base::FileDescriptor output_end(output[1]);
    if (::pipe2(ready, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "cannot make a pipe");
    process.ready.Reset(ready[0]);
    base::FileDescriptor ready_end(ready[1]);
    ::fcntl(process.output.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(process.ready.get(), F_SETFL, O_NONBLOCK);

    ChildOptions options;
    options.program = owner_.options_.program;
    options.arguments = owner_.options_.arguments;
    for (std::string argument :
         {std::string("--listen"), absl::StrCat("unix:", process.folder, "/s"), std::string("--state-dir"),
          state, std::string("--ready-fd"), absl::StrCat(kReadyDescriptor), std::string("--parent-death")}) {
      options.arguments.push_back(std::move(argument));
    }
    options.environment = owner_.options_.environment;
    options.folder = process.folder;
    options.output = output_end.get();
    options.ready = ready_end.get();
    absl::StatusOr<Child> child = StartChild(options);
    if (!child.ok()) return child.status();
    process.child = *std::move(child);
    Add(process.output.get(), Tag(id, kOutput));
    Add(process.ready.get(), Tag(id, kReady));
    Add(process.child.pidfd.get(), Tag(id, kExit));
    return absl::OkStatus();
  }

  void Add(int fd, std::uint64_t tag) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = tag;
    ::epoll_ctl(owner_.epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  void StopReplica(const std::string& name) {
    std::uint64_t id = 0;
    milliseconds grace{0};
    {
      const std::lock_guard lock(owner_.mutex_);
      const auto it = owner_.entries_.find(name);
      if (it == owner_.entries_.end()) return;
      if (it->second.ended) {
        EraseEntry(it);
        return;
      }
      id = it->second.id;
      grace = it->second.grace;
    }
    const auto it = processes_.find(id);
    if (it != processes_.end()) AskToEnd(it->second, std::chrono::steady_clock::now() + grace);
  }

  void AskToEnd(Process& process, SteadyTime kill_at) {
    if (!process.kill_at) Kill(process.child, SIGTERM);
    process.start_by.reset();
    process.kill_at = process.kill_at ? std::min(*process.kill_at, kill_at) : kill_at;
  }

  // Kills what is past its time.
  void Enforce(SteadyTime now) {
    for (auto& [id, process] : processes_) {
      if (process.start_by && *process.start_by <= now) {
        process.timed_out = true;
        process.start_by.reset();
        Kill(process.child, SIGKILL);
      }
      if (process.kill_at && *process.kill_at <= now) {
        Kill(process.child, SIGKILL);
        process.kill_at = SteadyTime::max() - std::chrono::hours(1);
      }
    }
  }

  // Hands on whole lines. False once the pipe is at its end or empty.
  bool ReadOutput(Process& process) {
    if (!process.output) return false;
    char buffer[16u << 10];
    std::size_t total = 0;
    while (total < kBytesPerTurn) {
      const ssize_t size = ::read(process.output.get(), buffer, sizeof buffer);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) return false;
      if (size <= 0) {
        FlushLine(process);
        process.output.Reset();
        return false;
      }
      total += static_cast<std::size_t>(size);
      std::string_view rest(buffer, static_cast<std::size_t>(size));
      for (;;) {
        const std::size_t newline = rest.find('\n');
        process.partial.append(rest.substr(0, newline));
        if (newline == std::string_view::npos) break;
        FlushLine(process);
        rest.remove_prefix(newline + 1);
      }
      if (process.partial.size() >= kLongestLine) FlushLine(process);
    }
    return true;
  }

  void FlushLine(Process& process) {
    if (process.partial.empty()) return;
    if (process.partial.size() > kLongestLine) process.partial.resize(kLongestLine);
    if (owner_.options_.line) owner_.options_.line(process.function, process.name, process.partial);
    process.last_line.swap(process.partial);
    process.partial.clear();
  }

  void ReadReady(Process& process) {
    char byte = 0;
    const ssize_t size = ::read(process.ready.get(), &byte, 1);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    process.ready.Reset();
    if (size <= 0) return;  // closed without a word: its exit will tell
    process.start_by.reset();
    {
      const std::lock_guard lock(owner_.mutex_);
      const auto it = owner_.entries_.find(process.name);
      if (it == owner_.entries_.end() || it->second.deleted) return;
      it->second.view.phase = ReplicaPhase::kRunning;
    }
    owner_.options_.changed(process.function);
  }

  void Reap(std::map<std::uint64_t, Process>::iterator it) {
    Process process = std::move(it->second);
    processes_.erase(it);
    const ChildExit exit = ReapChild(process.child);
    // A daemon may still hold the pipe, so what is there now is all that is waited for.
    constexpr int kTurns = 16;
    for (int turn = 0; turn < kTurns && ReadOutput(process); ++turn) {
    }
    FlushLine(process);
    KillOrphans();
    RemoveFolder(process);  // now that no worker of it is left that could write there
    std::string message;
    if (process.timed_out) {
      message = absl::StrCat("its runtime did not answer within ", owner_.options_.start_timeout.count(),
                             " ms and was killed");
    } else {
      message = absl::StrCat("its runtime ", exit.Sentence());
    }
    if (!process.last_line.empty()) absl::StrAppend(&message, "; its last line was: ", process.last_line);
    Fail(process, std::move(message));
  }

  // The process is no more: the entry goes if somebody asked for that, and else says why.
  void Fail(const Process& process, std::string message) {
    {
      const std::lock_guard lock(owner_.mutex_);
      const auto it = owner_.entries_.find(process.name);
      if (it == owner_.entries_.end()) return;
      it->second.ended = true;
      it->second.view.phase = ReplicaPhase::kFailed;
      it->second.view.message = std::move(message);
      if (it->second.deleted) EraseEntry(it);
    }
    owner_.options_.changed(process.function);
  }

  // REQUIRES: owner_.mutex_ is held.
  void EraseEntry(std::map<std::string, Entry>::iterator it) {
    auto [first, last] = owner_.names_by_function_.equal_range(it->second.view.function);
    for (; first != last; ++first) {
      if (first->second == it->first) {
        owner_.names_by_function_.erase(first);
        break;
      }
    }
    owner_.entries_.erase(it);
  }

  static void RemoveFolder(const Process& process) {
    std::error_code ignored;
    std::filesystem::remove_all(process.folder, ignored);
  }

  ReplicaSupervisor& owner_;
  std::map<std::uint64_t, Process> processes_;
};

absl::StatusOr<std::unique_ptr<ReplicaSupervisor>> ReplicaSupervisor::Start(
    ReplicaSupervisorOptions options) {
  // The longest address: <dir>/<20 digits>/s.
  constexpr std::size_t kSuffix = 24;
  if (options.dir.size() + kSuffix >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the run folder ", options.dir, " is too long for Unix sockets (",
                     sizeof(sockaddr_un::sun_path) - kSuffix - 1,
                     " bytes at most): name a shorter one with MAYFLY_RUN_DIR"));
  }
  if (::access(options.program.c_str(), X_OK) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot run the runtime ", options.program));
  }
  std::unique_ptr<ReplicaSupervisor> made(new ReplicaSupervisor(std::move(options)));
  made->wake_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  made->epoll_.Reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!made->wake_ || !made->epoll_)
    return base::ErrnoStatus(errno, "cannot make the supervisor's descriptors");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = Tag(0, kWake);
  if (::epoll_ctl(made->epoll_.get(), EPOLL_CTL_ADD, made->wake_.get(), &event) != 0) {
    return base::ErrnoStatus(errno, "cannot watch the supervisor's descriptors");
  }
  made->thread_ = base::StartThread("replicas", [self = made.get()](const std::stop_token& stop) {
    const std::stop_callback wake(stop, [self] { self->Wake(); });
    Loop(*self).Run(stop);
  });
  return made;
}

ReplicaSupervisor::~ReplicaSupervisor() {
  // Destroying thread_ stops and joins it; said here since it is the shutdown.
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void ReplicaSupervisor::Wake() {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

absl::StatusOr<std::string> ReplicaSupervisor::Create(const std::string& function) {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= options_.max_replicas) {
      return absl::ResourceExhaustedError(absl::StrCat("this machine already runs ", entries_.size(),
                                                       " replicas, the most that it is allowed to"));
    }
    Entry entry;
    entry.id = next_id_++;
    name = absl::StrCat(function.substr(function.find('/') + 1), "-", entry.id);
    entry.view.name = name;
    entry.view.function = function;
    entry.view.address = absl::StrCat("unix:", options_.dir, "/", entry.id, "/s");
    entry.view.created = std::chrono::steady_clock::now();
    names_by_function_.emplace(function, name);
    entries_.emplace(name, std::move(entry));
    to_start_.push_back(name);
  }
  Wake();
  return name;
}

void ReplicaSupervisor::Delete(const std::string& replica, milliseconds grace) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = entries_.find(replica);
    if (it == entries_.end() || it->second.deleted) return;
    it->second.deleted = true;
    it->second.grace = grace;
    to_stop_.push_back(replica);
  }
  Wake();
}

std::vector<Replica> ReplicaSupervisor::List(const std::string& function) const {
  std::vector<Replica> replicas;
  const std::lock_guard lock(mutex_);
  auto [first, last] = names_by_function_.equal_range(function);
  for (; first != last; ++first) {
    const Entry& entry = entries_.at(first->second);
    if (!entry.deleted) replicas.push_back(entry.view);
  }
  return replicas;
}

std::size_t ReplicaSupervisor::Processes(const std::string& function) const {
  const std::lock_guard lock(mutex_);
  auto [first, last] = names_by_function_.equal_range(function);
  return static_cast<std::size_t>(
      std::count_if(first, last, [this](const auto& pair) { return !entries_.at(pair.second).ended; }));
}

}  // namespace mayfly::op
