// The only file of the worker that is compiled with exceptions: elsewhere a thrown exception finds no frame
// that could catch it, so std::terminate runs where it was thrown and the whole stack is there to be told.
#include <cxxabi.h>
#include <signal.h>
#include <stdlib.h>

#include <exception>
#include <new>
#include <string>
#include <typeinfo>

#include "runtime/worker/crash.h"

namespace mayfly::worker {
namespace {

[[noreturn]] void OnTerminate() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    ReportException(ipc::CrashKind::kException, "std::terminate was called without an exception");
    abort();
  }
  if (*type == typeid(std::bad_alloc)) {
    ReportException(ipc::CrashKind::kOutOfMemory, "std::bad_alloc");
    abort();
  }
  int status = 0;
  char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  std::string text = status == 0 && name != nullptr ? name : type->name();
  try {
    throw;
  } catch (const std::exception& error) {
    text += ": ";
    text += error.what();
  } catch (...) {
    // Its type is all there is to say.
  }
  ReportException(ipc::CrashKind::kException, text);
  abort();
}

}  // namespace

void InstallTerminateHandler() { std::set_terminate(OnTerminate); }

}  // namespace mayfly::worker
