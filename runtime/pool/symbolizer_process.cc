#include "runtime/pool/symbolizer_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/file_descriptor.h"
#include "base/log.h"
#include "runtime/pool/process_registry.h"
#include "runtime/pool/spawn.h"
#include "runtime/symbolizer/protocol.h"

namespace mayfly::runtime {
namespace {

// Whether it came to the end of what the program says.
bool ReadAnswer(int fd, int stop_fd, std::chrono::steady_clock::time_point deadline, std::string& text) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd fds[] = {{fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
    const int ready = poll(fds, 2, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    if (fds[1].revents != 0) return false;
    char buffer[4096];
    const ssize_t size = read(fd, buffer, sizeof(buffer));
    if (size == 0) return true;
    if (size < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (size > 0) text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > symbolizer::kMaxAnswerBytes) {
      text.resize(symbolizer::kMaxAnswerBytes);
      return false;
    }
  }
}

}  // namespace

SymbolizerOutput RunSymbolizer(const std::string& program, const std::string& module_path,
                               const std::string& question, std::chrono::steady_clock::time_point deadline,
                               int stop_fd) {
  SymbolizerOutput output;
  if (std::chrono::steady_clock::now() >= deadline) return output;
  // A file, not a pipe: nobody has to wait until it is read.
  base::FileDescriptor input(memfd_create("mayfly-question", MFD_CLOEXEC));
  base::FileDescriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  auto pipe = MakeLogPipe();
  if (!input || !null || !pipe.ok() ||
      pwrite(input.get(), question.data(), question.size(), 0) != static_cast<ssize_t>(question.size())) {
    return output;
  }
  const auto pid = StartProgram(program, {"mayfly-symbolizer", module_path},
                                {input.get(), pipe->second.get(), null.get()});
  if (!pid.ok()) {
    base::log::Warn("a crash's backtrace has no names", {{"error", std::string(pid.status().message())}});
    return output;
  }
  ProcessRegistry::Add(*pid);
  pipe->second.Reset();
  output.complete = ReadAnswer(pipe->first.get(), stop_fd, deadline, output.text);
  // What ends already keeps its exit code.
  KillGroup(*pid);
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  ProcessRegistry::Remove(*pid);
  ReapGroup(*pid);
  output.complete = output.complete && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return output;
}

}  // namespace mayfly::runtime
