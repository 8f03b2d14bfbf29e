#include "runtime/worker/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vector>

#include "runtime/worker/channel.h"
#include "runtime/worker/crash.h"
#include "runtime/worker/host.h"
#include "runtime/worker/sandbox_landlock.h"

namespace mayfly::worker {
namespace {

// The runtime adopts a forked worker when the process in between, which does nothing else, has ended; only then may the
// worker ask to die with its parent. Whoever else adopts it does so because the runtime is dead.
void TieToRuntime(pid_t runtime, pid_t between) {
  while (getppid() == between) sched_yield();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != runtime) _exit(1);
}

// Makes the mayfly_event that a Request describes; the tables are kept for the next one.
class EventView {
 public:
  const mayfly_event& Make(const char* area) {
    const auto& request = *reinterpret_cast<const ipc::Request*>(area);
    area_ = area;
    pairs_.clear();
    pairs_.reserve(std::size_t{request.attributes.count} + request.headers.count + request.parameters.count);
    event_ = {};
    event_.size = sizeof(event_);
    event_.invocation_id = Text(request.invocation_id);
    event_.attempt = request.attempt;
    event_.is_http = request.is_http;
    event_.deadline_ns = request.deadline_ns;
    event_.id = Text(request.id);
    event_.source = Text(request.source);
    event_.type = Text(request.type);
    event_.subject = Text(request.subject);
    event_.time = Text(request.time);
    event_.data_content_type = Text(request.data_content_type);
    event_.method = Text(request.method);
    event_.path = Text(request.path);
    event_.query = Text(request.query);
    event_.attributes = Pairs(request.attributes);
    event_.attribute_count = request.attributes.count;
    event_.headers = Pairs(request.headers);
    event_.header_count = request.headers.count;
    event_.parameters = Pairs(request.parameters);
    event_.parameter_count = request.parameters.count;
    event_.body = area + request.body_offset;
    event_.body_size = request.body_size;
    return event_;
  }

 private:
  mayfly_str Text(ipc::Span span) const { return {area_ + span.offset, span.size}; }
  const mayfly_pair* Pairs(ipc::PairTable table) {
    const std::size_t first = pairs_.size();
    const auto* spans = reinterpret_cast<const ipc::SpanPair*>(area_ + table.offset);
    for (std::uint32_t i = 0; i < table.count; ++i) {
      pairs_.push_back({Text(spans[i].name), Text(spans[i].value)});
    }
    return pairs_.data() + first;
  }

  const char* area_ = nullptr;
  mayfly_event event_{};
  std::vector<mayfly_pair> pairs_;
};

// Whether the handler left a process behind, dead or alive, whatever signal its end sends. Orphans of its children are
// found too: a worker is the reaper of its descendants.
bool HasChildren() {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD;
}

std::uint64_t NowNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// What a handler leaves behind: processes, and more threads than there were before it. Those that after_fork() started,
// or create() in a worker that is not forked, were there before.
class Strays {
 public:
  Strays() {
    const int folder = open("/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    tasks_ = fcntl(folder, F_DUPFD_CLOEXEC, ipc::kTasksFd);
    close(folder);
    before_ = CountThreads();
  }

  // Flags of the DoneRecord.
  std::uint32_t Find() {
    return (HasChildren() ? ipc::kDoneStrayChildren : 0) | (HasNewThreads() ? ipc::kDoneStrayThreads : 0);
  }

 private:
  // By the links of the folder that has one subfolder for each; 0 if that cannot be known.
  nlink_t CountThreads() const {
    struct stat info;
    return tasks_ >= 0 && syscall(SYS_fstat, tasks_, &info) == 0 ? info.st_nlink : 0;
  }

  bool HasNewThreads() {
    // Most handlers never start a thread, and need no system call to know.
    if (__libc_single_threaded != 0) return false;
    nlink_t now = CountThreads();
    // One that was joined may still be on its way out.
    constexpr std::uint64_t kPatience = 1'000'000;
    constexpr int kLeastYields = 3;  // each of which may take longer than that on a busy machine
    const std::uint64_t until = now > before_ ? NowNanoseconds() + kPatience : 0;
    for (int i = 0; now > before_ && (i < kLeastYields || NowNanoseconds() < until); ++i) {
      sched_yield();
      now = CountThreads();
    }
    if (now > before_) return true;
    before_ = now;
    return false;
  }

  int tasks_ = -1;
  nlink_t before_ = 0;
};

void Redirect(int log) {
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  setvbuf(stdout, nullptr, _IOLBF, 0);
}

}  // namespace

void Serve(Module& module, const ipc::LaunchBlock& launch, const ipc::SpawnCommand& command,
           const std::array<int, ipc::kSpawnDescriptors>& fds, int control, pid_t between) {
  const bool forked = between != 0;
  if (forked) {
    prctl(PR_SET_NAME, "mayfly-worker");
    TieToRuntime(launch.runtime_pid, between);
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);

  const int doorbell = fcntl(fds[1], F_DUPFD_CLOEXEC, ipc::kDoorbellFd);
  const int log = fcntl(fds[2], F_DUPFD_CLOEXEC, ipc::kLogFd);
  Redirect(fds[2]);
  void* memory = mmap(nullptr, ipc::kAreasOffset, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
  const std::size_t areas_bytes = ipc::AreasBytes(launch.max_request_bytes);
  void* areas = mmap(nullptr, areas_bytes, PROT_READ, MAP_SHARED, fds[0], ipc::kAreasOffset);
  if (doorbell < 0 || log < 0 || memory == MAP_FAILED || areas == MAP_FAILED) _exit(1);
  for (const int fd : fds) close(fd);

  static Channel channel(static_cast<char*>(memory), static_cast<const char*>(areas), doorbell);
  SetLogDescriptor(log);
  SetChannel(&channel);
  SetCrashReport(&channel.crash());

  if (launch.sandbox) RestrictSignals();

  if (forked) {
    ipc::ServerMessage born{};
    born.kind = ipc::ServerMessageKind::kBorn;
    born.token = command.token;
    if (!ipc::SendMessage(control, born)) _exit(1);
    close(control);
    channel.WaitUntilAdmitted();
    std::string problem;
    if (!module.AfterFork(problem)) {
      ReportProblem(problem);
      _exit(1);
    }
  } else {
    close(control);
  }

  Response response(channel);
  Strays strays;
  EventView view;
  while (const char* area = channel.Next()) {
    const mayfly_event& event = view.Make(area);
    const std::uint64_t began = NowNanoseconds();
    const int result = module.Handle(event, response.Open());
    response.Close();
    channel.EndStrayChild();
    const std::uint64_t ended = NowNanoseconds();
    response.Done(result, strays.Find(), began, ended);
  }
  module.Destroy();
  fflush(nullptr);
  _exit(0);
}

}  // namespace mayfly::worker
