#include "cli/usage.h"

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/exit_codes.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

// How many letters must be added, left out, changed or swapped with their neighbour to make `a` of `b`.
std::size_t Distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::vector<std::size_t> row(b.size() + 1, i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::exchange(last, std::move(row));
  }
  return last.back();
}

}  // namespace

std::string ExplainUsage(const CLI::App& app, const std::string& error, const std::string& first) {
  std::string nearest;
  std::size_t distance =
      std::max<std::size_t>(1, first.size() / 2);  // farther off, it is a guess and no help
  for (const CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string& name = command->get_name();
    if (name == first) return absl::StrCat(error, "\nmayfly: see `mayfly ", name, " --help`");
    const std::size_t far = Distance(first, name);
    if (far > distance || (far == distance && !nearest.empty())) continue;
    nearest = name;
    distance = far;
  }
  constexpr char kSee[] = "\nmayfly: see `mayfly --help`";
  if (first.empty() || first.front() == '-') return absl::StrCat(error, kSee);
  return absl::StrCat("there is no command ", first,
                      nearest.empty() ? "" : absl::StrCat(": did you mean `mayfly ", nearest, "`?"), kSee);
}

int ParseAndRun(CLI::App& app, const Action& action, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return Fail(ExplainUsage(app, error.what(), argc > 1 ? argv[1] : ""), kExitUsage);
  }
  if (!action) {
    std::fputs(app.help().c_str(), stderr);
    return kExitUsage;
  }
  const int exit_code = action();
  // What was written may still be on its way, to a disk that is full.
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  pollfd reader{STDOUT_FILENO, POLLOUT, 0};
  const bool nobody_reads = ::poll(&reader, 1, 0) == 1 && (reader.revents & (POLLERR | POLLHUP)) != 0;
  if (nobody_reads) return exit_code == kExitOk ? kExitFailed : exit_code;  // as `| head` has it
  return Fail(
      "what was to be printed could not all be written to standard output: is there room where it goes?");
}

}  // namespace mayfly::cli
