// How a worker tells about its own death: signal handlers on a stack of their own, and std::terminate, write
// a CrashReport into shared memory, and the process dies of what it was dying of.
//
// Only the process that called SetCrashReport() writes; a child that user code forked dies silently.
#pragma once

#include <string_view>

#include "runtime/ipc/layout.h"

namespace mayfly::worker {

// For SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS and std::terminate. Main thread, once, before user code.
void InstallCrashHandlers();

// Where the report goes from now on, for this process.
void SetCrashReport(ipc::CrashReport* report);

// Leaves a sentence in the report; the caller exits.
void ReportProblem(std::string_view text);

// For terminate.cc.
void ReportException(ipc::CrashKind kind, std::string_view text);

// Sets the terminate handler (terminate.cc, the one file that may catch).
void InstallTerminateHandler();

}  // namespace mayfly::worker
