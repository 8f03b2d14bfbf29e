#include "cli/serve.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/descriptor_limit.h"
#include "base/log.h"
#include "base/thread.h"
#include "cli/exit_codes.h"
#include "cli/log_printer.h"
#include "cli/terminal.h"
#include "cli/try_it.h"
#include "operator/local/child_process.h"
#include "operator/local/run_dir.h"

namespace mayfly::cli {
namespace {

constexpr int kInterrupted = 130;
constexpr std::size_t kMostShown = 50;
constexpr std::chrono::seconds kRoutesWithin{5};

std::string ShownName(const std::string& key) {
  constexpr std::string_view kDefault = "default/";
  return key.starts_with(kDefault) ? key.substr(kDefault.size()) : key;
}

void PrintFunctions(const LocalStack& stack, const std::vector<std::string>& paths) {
  std::vector<FunctionView> views = stack.Functions();
  std::string text;
  std::size_t wrong = 0;
  if (views.size() > kMostShown) {
    // Whom something is wrong with comes first: the rest may not be shown.
    const auto good = std::stable_partition(
        views.begin(), views.end(), [](const FunctionView& view) { return !WhatIsWrong(view).empty(); });
    wrong = static_cast<std::size_t>(good - views.begin());
  }
  if (views.empty()) {
    absl::StrAppend(&text, "There is no function in ", absl::StrJoin(paths, ", "),
                    " yet: whatever is put there is served at once. `mayfly new NAME` makes one.\n\n");
  }
  std::size_t width = 0;
  for (const FunctionView& view : views) width = std::max(width, ShownName(view.key).size());
  const std::string indent(width + 4, ' ');
  std::size_t shown = 0;
  for (const FunctionView& view : views) {
    if (++shown > kMostShown) {
      absl::StrAppend(&text, "  … and ", views.size() - kMostShown, " more");
      if (wrong > kMostShown) absl::StrAppend(&text, ", ", wrong - kMostShown, " of them with a problem");
      absl::StrAppend(&text, ": `mayfly get` lists them\n\n");
      break;
    }
    const std::string name = ShownName(view.key);
    absl::StrAppend(&text, "  ", Paint(name, Colour::kBold, STDOUT_FILENO),
                    std::string(width - name.size() + 2, ' '));
    const std::string problem = WhatIsWrong(view);
    // The URL of a route that another function has would call that one.
    if (view.object.function && !HasNoRoute(view)) {
      absl::StrAppend(&text, view.url, "\n", indent, CurlLine(view, stack.url()), "\n");
      if (!problem.empty()) absl::StrAppend(&text, indent);
    }
    if (!problem.empty()) {
      absl::StrAppend(&text,
                      Serves(view) ? Paint("problem:", Colour::kYellow, STDOUT_FILENO)
                                   : Paint("cannot serve:", Colour::kRed, STDOUT_FILENO),
                      " ", absl::StrReplaceAll(problem, {{"\n", "\n" + indent}}), "\n");
    }
    text += '\n';
  }
  absl::StrAppend(&text, "mayfly: ready ", stack.url(), "\n");
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// While it lives, a signal ends the process at once. What it cannot clean in that moment, the next start does.
class Impatience {
 public:
  Impatience(const sigset_t& signals, const std::string& run_dir)
      : thread_(base::StartThread("impatience", [signals, run_dir](const std::stop_token& stop) {
          constexpr timespec kTurn{0, 50'000'000};
          while (!stop.stop_requested()) {
            if (::sigtimedwait(&signals, nullptr, &kTurn) < 0) continue;
            op::KillChildren();
            op::RunDir::RemoveNow(run_dir);
            ::_exit(kInterrupted);
          }
        })) {}

 private:
  std::jthread thread_;
};

}  // namespace

int Serve(ServeOptions options) {
  base::log::Init("mayfly", base::log::Level::kInfo,
                  options.json_logs ? base::log::Format::kJson : base::log::Format::kLogfmt);
  base::RaiseDescriptorLimit();
  op::AdoptOrphans();
  // Before any thread is there: threads inherit the mask, and only this one takes signals.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  LogPrinter printer(options.pretty);
  options.stack.log_format = options.json_logs ? "json" : "logfmt";
  options.stack.on_line = [&printer](const std::string& function, std::string_view line) {
    printer.Print(function, line);
  };
  const std::vector<std::string> paths = options.stack.paths;
  absl::StatusOr<std::unique_ptr<LocalStack>> started = LocalStack::Start(std::move(options.stack));
  // What the command line says is wrong, such as an address that is none.
  if (absl::IsInvalidArgument(started.status())) return Fail(started.status(), kExitUsage);
  if (!started.ok()) return Fail(started.status());
  const std::unique_ptr<LocalStack> stack = *std::move(started);
  stack->WaitForRoutes(std::chrono::steady_clock::now() + kRoutesWithin);
  PrintFunctions(*stack, paths);
  std::jthread beside;
  if (options.beside) {
    beside = base::StartThread("dev", [&](const std::stop_token& stop) { options.beside(*stack, stop); });
  }

  int signal = 0;
  ::sigwait(&signals, &signal);
  const Impatience impatience(signals, stack->run_dir());
  beside.request_stop();
  if (beside.joinable()) beside.join();
  stack->Stop();
  return kExitOk;
}

}  // namespace mayfly::cli
