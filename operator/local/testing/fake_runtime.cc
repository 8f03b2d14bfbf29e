// A runtime's outside without its inside: takes mayfly-runtime's arguments, listens, says that it is ready,
// and ends on SIGTERM. A test tells it to misbehave by the program's name, which may be a link: see main().
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

void Write(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  (void)!::write(fd, text.data(), text.size());
  ::close(fd);
}

// As many processes as a worker may have (runtime/worker/sandbox_tasks.h), each of which makes others for as long as it lives.
[[noreturn]] void BeAForkBomb() {
  constexpr rlim_t kMost = 50;
  if (::geteuid() == 0) {
    // The true root, and who may go beyond limits, has none.
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    ::syscall(SYS_setresuid, 2'000'000'000 + ::getpid(), -1, -1);
    ::syscall(SYS_capset, &header, none);
  } else {
    ::unshare(CLONE_NEWUSER);
  }
  const rlimit limit{kMost, kMost};
  ::setrlimit(RLIMIT_NPROC, &limit);
  for (;;) ::fork();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string program = argv[0];
  const auto is = [&program](const char* word) { return program.find(word) != std::string::npos; };
  std::string listen_on;
  std::string state_dir;
  int ready = -1;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--listen") == 0) listen_on = argv[i + 1] + std::strlen("unix:");
    if (std::strcmp(argv[i], "--state-dir") == 0) state_dir = argv[i + 1];
    if (std::strcmp(argv[i], "--ready-fd") == 0) ready = std::atoi(argv[i + 1]);
  }
  if (is("fails-at-once")) {
    std::fprintf(stderr, "no luck today\n");
    return 3;
  }
  if (is("ignores-sigterm")) ::signal(SIGTERM, SIG_IGN);
  Write(state_dir + "/file", "state");
  std::fprintf(stdout, "runtime says hello\n");
  std::fflush(stdout);
  if (is("leaves-a-daemon") && ::fork() == 0) {
    ::setsid();
    for (;;) ::pause();
  }
  if (is("leaves-a-fork-bomb") && ::fork() == 0) {
    ::setsid();
    BeAForkBomb();
  }
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, listen_on.c_str(), sizeof address.sun_path - 1);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 8) != 0)
    return 1;
  if (!is("never-ready")) (void)!::write(ready, "1", 1);
  for (;;) ::pause();
}
