#include "tests/servers/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"
#include "base/testing/eventually.h"

namespace mayfly::testing {
namespace {

constexpr char kProgram[] = MAYFLY_SOURCE_DIR "/tests/servers/server";
constexpr std::chrono::seconds kEnds{20};
// Another test may take the port between the look and the start.
constexpr int kPortsToTry = 3;

sockaddr_in Local(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

}  // namespace

int FreePort() {
  const base::FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Local(0);
  socklen_t size = sizeof address;
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return 0;
  }
  return ntohs(address.sin_port);
}

bool Accepts(int port) {
  const base::FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Local(port);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

ServerProcess::ServerProcess(Options options) : options_(std::move(options)) {}

ServerProcess::~ServerProcess() { Kill(); }

absl::Status ServerProcess::Start() {
  const bool first = port_ == 0;
  absl::Status status;
  for (int attempt = 0; attempt < (first ? kPortsToTry : 1); ++attempt) {
    if (first) port_ = FreePort();
    status = Launch();
    if (status.ok()) return status;
    Kill();
  }
  return status;
}

absl::Status ServerProcess::Launch() {
  std::vector<std::string> words = {kProgram,   options_.name, "--port", absl::StrCat(port_),
                                    "--folder", folder()};
  words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const base::FileDescriptor log(
      ::open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const base::FileDescriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  pid_ = ::fork();
  if (pid_ == 0) {
    // Between here and exec nothing may be called that takes a lock.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setpgid(0, 0);
    ::dup2(nothing.get(), STDIN_FILENO);
    ::dup2(log.get(), STDOUT_FILENO);
    ::dup2(log.get(), STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  if (pid_ < 0) return base::ErrnoStatus(errno, "cannot fork");
  const bool ready = base::Eventually(
      [this] {
        if (::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
        return pid_ < 0 || (Accepts(port_) && (!options_.ready || options_.ready(port_)));
      },
      options_.patience);
  if (ready && pid_ > 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(options_.name, pid_ < 0 ? " ended: " : " is not ready in time: ", Log()));
}

bool ServerProcess::Wait(std::chrono::milliseconds within) {
  if (pid_ > 0 && base::Eventually([this] { return ::waitpid(pid_, nullptr, WNOHANG) == pid_; }, within))
    pid_ = -1;
  return pid_ < 0;
}

void ServerProcess::Kill() {
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  Wait(kEnds);
}

void ServerProcess::Stop() {
  Signal(options_.stop_signal);
  if (!Wait(kEnds)) Kill();
}

void ServerProcess::Freeze() const { Signal(SIGSTOP); }
void ServerProcess::Thaw() const { Signal(SIGCONT); }

void ServerProcess::Signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

std::string ServerProcess::Log() const {
  std::ifstream file(folder_ / "log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace mayfly::testing
