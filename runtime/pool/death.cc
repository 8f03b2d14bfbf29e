#include "runtime/pool/death.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/utf8.h"
#include "proto/problem.h"

namespace mayfly::runtime {
namespace {

Death Make(v1::Outcome outcome, const char* reason, std::string message) {
  return {outcome, v1::MakeProblem("function", reason, std::move(message))};
}

const char* Reason(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SegmentationFault";
    case SIGBUS:
      return "BusError";
    case SIGFPE:
      return "ArithmeticFault";
    case SIGILL:
      return "IllegalInstruction";
    case SIGABRT:
      return "Aborted";
    case SIGSYS:
      return "ForbiddenSystemCall";
    case SIGKILL:
      return "WorkerKilled";
    default:
      return "Signalled";
  }
}

std::string Describe(int signal, const CrashNotes& notes, std::string_view who) {
  switch (signal) {
    case SIGSEGV:
      if (notes.kind != ipc::CrashKind::kSignal)
        return fmt::format(
            "{} touched memory that is not its own (SIGSEGV), and left no trace: perhaps a thread that it "
            "started has used up its stack",
            who);
      return fmt::format("{} touched memory that is not its own, at address {:#x} (SIGSEGV)", who,
                         notes.address);
    case SIGBUS:
      return fmt::format("{} touched memory that has nothing behind it (SIGBUS)", who);
    case SIGFPE:
      return fmt::format("{} divided by zero or overflowed (SIGFPE)", who);
    case SIGILL:
      return fmt::format("{} ran into an illegal instruction (SIGILL); was it built for a newer CPU?", who);
    case SIGABRT:
      return fmt::format("{} called abort() (SIGABRT)", who);
    case SIGSYS:
      if (notes.kind != ipc::CrashKind::kSignal)
        return fmt::format("{} made a system call that workers may not make (SIGSYS)", who);
      return fmt::format("{} made system call {}, which workers may not make (SIGSYS)", who, notes.address);
    case SIGKILL:
      return "the worker was killed from outside (SIGKILL): by a person, or by the kernel for want of memory";
    default:
      return fmt::format("the worker died of signal {} ({})", signal, strsignal(signal));
  }
}

}  // namespace

CrashNotes CopyCrashReport(const ipc::CrashReport& report) {
  CrashNotes notes;
  const std::uint32_t kind = report.kind.load(std::memory_order_acquire);
  if (kind > static_cast<std::uint32_t>(ipc::CrashKind::kOutOfMemory)) return notes;
  notes.kind = static_cast<ipc::CrashKind>(kind);
  notes.signal = report.signal;
  notes.address = report.address;
  const std::size_t frames = std::min<std::size_t>(report.frame_count, ipc::kMaxFrames);
  notes.frames.assign(report.frames, report.frames + frames);
  notes.text = base::CleanUtf8({report.text, std::min<std::size_t>(report.text_size, ipc::kCrashTextBytes)});
  notes.maps.assign(report.maps, std::min<std::size_t>(report.maps_size, ipc::kCrashMapsBytes));
  return notes;
}

Death Explain(int wait_status, const CrashNotes& notes, std::uint64_t memory_bytes, std::string_view who) {
  if (WIFEXITED(wait_status)) {
    const int code = WEXITSTATUS(wait_status);
    if (notes.kind == ipc::CrashKind::kException && !notes.text.empty()) {
      return Make(v1::OUTCOME_CRASHED, "Exited", notes.text);
    }
    return Make(v1::OUTCOME_CRASHED, "Exited",
                fmt::format("{} ended its process with exit code {}; user code returns instead", who, code));
  }
  const int signal = WTERMSIG(wait_status);
  switch (notes.kind) {
    case ipc::CrashKind::kOutOfMemory:
      return Make(v1::OUTCOME_OUT_OF_MEMORY, "OutOfMemory",
                  fmt::format("{} was refused more memory (std::bad_alloc) at its limit of {} MiB", who,
                              memory_bytes >> 20));
    case ipc::CrashKind::kException:
      if (signal == SIGABRT) {
        return Make(v1::OUTCOME_CRASHED, "UncaughtException",
                    fmt::format("an exception left {}: {}", who, notes.text));
      }
      break;
    case ipc::CrashKind::kStackOverflow:
      if (signal == SIGSEGV) {
        return Make(
            v1::OUTCOME_CRASHED, "StackOverflow",
            fmt::format("{} used up its stack: recursion without end, or very large local variables", who));
      }
      break;
    case ipc::CrashKind::kNone:
    case ipc::CrashKind::kSignal:
      break;
  }
  Death death = Make(v1::OUTCOME_CRASHED, Reason(signal), Describe(signal, notes, who));
  if (signal == SIGKILL) death.problem.set_component("worker");
  return death;
}

}  // namespace mayfly::runtime
