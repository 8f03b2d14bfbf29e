#include "runtime/worker/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>

#include "base/utf8.h"

namespace mayfly::worker {
namespace {

constexpr std::size_t kAlternateStackBytes = 128u << 10;
// How far from the stack pointer a fault may be and still be the stack's own growth into its guard.
constexpr std::uint64_t kGuardReach = 1u << 20;

std::atomic<ipc::CrashReport*> crash_report{nullptr};
std::atomic<pid_t> crash_pid{0};
std::atomic<bool> reporting{false};

ipc::CrashReport* Report() { return crash_pid.load() == getpid() ? crash_report.load() : nullptr; }

struct Frames {
  ipc::CrashReport* report;
  std::uint64_t first;  // the program counter that faulted, 0 to take all
  bool found;
};

_Unwind_Reason_Code AddFrame(_Unwind_Context* context, void* argument) {
  auto* frames = static_cast<Frames*>(argument);
  int before = 0;
  const std::uint64_t pc = _Unwind_GetIPInfo(context, &before);
  if (pc == 0 || frames->report->frame_count >= ipc::kMaxFrames) return _URC_END_OF_STACK;
  if (!frames->found && frames->first != 0) {
    if (pc != frames->first) return _URC_NO_REASON;
    frames->found = true;
  }
  // A return address is one past the call; the runtime looks up the byte before it, except at the fault.
  frames->report->frames[frames->report->frame_count++] = before != 0 ? pc : pc - 1;
  return _URC_NO_REASON;
}

// Copies the lines of /proc/self/maps that describe code, with nothing but system calls.
void CopyMaps(ipc::CrashReport& report) {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  static char buffer[8192];
  std::size_t held = 0;
  while (true) {
    const ssize_t size = read(fd, buffer + held, sizeof(buffer) - held);
    if (size <= 0) break;
    held += static_cast<std::size_t>(size);
    std::size_t begin = 0;
    while (true) {
      const void* newline = memchr(buffer + begin, '\n', held - begin);
      if (newline == nullptr) break;
      const std::size_t end = static_cast<std::size_t>(static_cast<const char*>(newline) - buffer) + 1;
      const std::size_t line = end - begin;
      if (memmem(buffer + begin, line, " r-xp ", 6) != nullptr &&
          memchr(buffer + begin, '/', line) != nullptr && report.maps_size + line <= sizeof(report.maps)) {
        memcpy(report.maps + report.maps_size, buffer + begin, line);
        report.maps_size += static_cast<std::uint32_t>(line);
      }
      begin = end;
    }
    memmove(buffer, buffer + begin, held - begin);
    held -= begin;
    if (held == sizeof(buffer)) held = 0;
  }
  close(fd);
}

void OnSignal(int signal, siginfo_t* info, void* context) {
  ipc::CrashReport* report = Report();
  if (report != nullptr && !reporting.exchange(true)) {
    const auto* user = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
    const auto pc = static_cast<std::uint64_t>(user->uc_mcontext.gregs[REG_RIP]);
    const auto sp = static_cast<std::uint64_t>(user->uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
    const std::uint64_t pc = user->uc_mcontext.pc;
    const std::uint64_t sp = user->uc_mcontext.sp;
#endif
    const auto address = reinterpret_cast<std::uint64_t>(info->si_addr);
    report->signal = static_cast<std::uint32_t>(signal);
    report->address = signal == SIGSYS ? static_cast<std::uint64_t>(info->si_syscall) : address;
    // What std::terminate has already told is the better story.
    if (report->kind.load() == 0) {
      const bool overflow =
          signal == SIGSEGV && info->si_code > 0 && address + kGuardReach > sp && address < sp + kGuardReach;
      report->kind.store(
          static_cast<std::uint32_t>(overflow ? ipc::CrashKind::kStackOverflow : ipc::CrashKind::kSignal));
    }
    CopyMaps(*report);
    // The unwinder may itself fault on a broken stack: what is in the report by then stays.
    report->frame_count = 0;
    Frames frames{report, pc, false};
    _Unwind_Backtrace(AddFrame, &frames);
    if (report->frame_count == 0) {
      report->frames[0] = pc;
      report->frame_count = 1;
    }
  }
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
  // A fault happens again on return; what was raised has to be raised again.
  if (info->si_code <= 0 || signal == SIGSYS) raise(signal);
}

}  // namespace

void InstallCrashHandlers() {
  void* stack =
      mmap(nullptr, kAlternateStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack != MAP_FAILED) {
    stack_t alternate{};
    alternate.ss_sp = stack;
    alternate.ss_size = kAlternateStackBytes;
    sigaltstack(&alternate, nullptr);
  }
  struct sigaction action{};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS})
    sigaction(signal, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // The unwinder's first call may allocate; that must not be in a signal handler.
  ipc::CrashReport* scratch = static_cast<ipc::CrashReport*>(
      mmap(nullptr, sizeof(ipc::CrashReport), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (scratch != MAP_FAILED) {
    Frames frames{scratch, 0, true};
    _Unwind_Backtrace(AddFrame, &frames);
    munmap(scratch, sizeof(ipc::CrashReport));
  }
  InstallTerminateHandler();
}

void SetCrashReport(ipc::CrashReport* report) {
  crash_report.store(report);
  crash_pid.store(getpid());
}

void ReportException(ipc::CrashKind kind, std::string_view text) {
  ipc::CrashReport* report = Report();
  if (report == nullptr) return;
  const std::string_view cut = base::CutUtf8(text, sizeof(report->text));
  memcpy(report->text, cut.data(), cut.size());
  report->text_size = static_cast<std::uint32_t>(cut.size());
  report->kind.store(static_cast<std::uint32_t>(kind));
}

void ReportProblem(std::string_view text) { ReportException(ipc::CrashKind::kException, text); }

}  // namespace mayfly::worker
