#include "cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file_descriptor.h"
#include "operator/local/child_process.h"

namespace mayfly::cli {

std::string FindProgram(const std::string& program) {
  if (program.find('/') != std::string::npos) return ::access(program.c_str(), X_OK) == 0 ? program : "";
  const char* const path = std::getenv("PATH");
  for (const absl::string_view folder : absl::StrSplit(path != nullptr ? path : "/usr/bin:/bin", ':')) {
    if (folder.empty()) continue;
    std::string candidate = absl::StrCat(folder, "/", program);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

absl::StatusOr<int> RunProgram(const RunOptions& options) {
  const std::string& name = options.command.front();
  op::ChildOptions child_options;
  child_options.program = FindProgram(name);
  if (child_options.program.empty()) {
    return absl::NotFoundError(absl::StrCat("there is no program ", name, " on the PATH: install it"));
  }
  child_options.arguments.assign(options.command.begin() + 1, options.command.end());
  for (char** variable = environ; *variable != nullptr; ++variable)
    child_options.environment.emplace_back(*variable);
  child_options.folder = options.folder;
  child_options.own_session = !options.foreground;

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "cannot make a pipe");
  const base::FileDescriptor output(ends[0]);
  base::FileDescriptor child_end(ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
  const base::FileDescriptor stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  child_options.output = child_end.get();
  absl::StatusOr<op::Child> child = op::StartChild(child_options);
  if (!child.ok()) return child.status();
  child_end.Reset();
  const std::stop_callback on_stop(options.stop, [&stop] {
    const std::uint64_t one = 1;
    (void)!::write(stop.get(), &one, sizeof one);
  });

  bool ended = false;
  bool open = true;
  while (!ended || open) {
    pollfd polled[3] = {
        {child->pidfd.get(), POLLIN, 0}, {open ? output.get() : -1, POLLIN, 0}, {stop.get(), POLLIN, 0}};
    // Once the program has ended, only what it has written is read: a daemon of its may hold the pipe.
    const int count = ::poll(polled, 3, ended ? 0 : -1);
    if (count < 0 && errno == EINTR) continue;
    if (polled[2].revents != 0) {
      ::kill(options.foreground ? child->pid : -child->pid, SIGKILL);
      op::ReapChild(*child);
      return absl::CancelledError(absl::StrCat(name, " was stopped"));
    }
    bool read_something = false;
    if (polled[1].revents != 0) {
      char buffer[16u << 10];
      const ssize_t size = ::read(output.get(), buffer, sizeof buffer);
      if (size > 0) {
        read_something = true;
        if (options.output) options.output(std::string_view(buffer, static_cast<std::size_t>(size)));
      } else if (size == 0 || errno != EAGAIN) {
        open = false;
      }
    }
    if (ended && !read_something) break;
    if (polled[0].revents != 0) ended = true;
  }
  const op::ChildExit exit = op::ReapChild(*child);
  constexpr int kSignalBase = 128;
  return exit.signal != 0 ? kSignalBase + exit.signal : exit.code;
}

}  // namespace mayfly::cli
