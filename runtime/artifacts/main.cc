// mayfly-fetch: fetches one module into a cache. Started by mayfly-runtime when a function's module is at a URL or in an image;
// see fetch_order.h for what it is told and what it answers.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "runtime/artifacts/fetch.h"

namespace {

using namespace mayfly::runtime;

std::string ReadOrder() {
  std::string text(kMaxOrderBytes, '\0');
  std::size_t held = 0;
  while (held < text.size()) {
    const ssize_t size = ::read(STDIN_FILENO, text.data() + held, text.size() - held);
    if (size <= 0) break;
    held += static_cast<std::size_t>(size);
  }
  text.resize(held);
  return text;
}

void Say(const std::string& line) {
  // Who does not listen any more has no use for the module either.
  if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(1);
}

}  // namespace

int main() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(0077);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const auto order = isatty(STDIN_FILENO) != 0 ? std::nullopt : DecodeFetchOrder(ReadOrder());
  if (!order) {
    std::fputs("mayfly-fetch is started by mayfly-runtime, not by people.\n", stderr);
    return 2;
  }
  std::string sha256;
  const auto failure = FetchIntoCache(
      *order,
      [](std::uint64_t bytes, std::uint64_t total) { Say(fmt::format("progress {} {}\n", bytes, total)); },
      sha256);
  if (!failure) {
    Say(fmt::format("fetched {}\n", sha256));
    return 0;
  }
  std::string message = failure->message.substr(0, kMaxAnswerLine / 2);
  for (char& c : message)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  Say(fmt::format("failed {} {}\n", failure->reason, message));
  return 1;
}
