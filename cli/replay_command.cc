// `mayfly replay`: a stored event once more, in a process of one's own, under a debugger if one likes.
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/beside_this.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/instance.h"
#include "cli/process.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ReplayOptions {
  std::string id;
  std::string module;
  bool gdb = false;
  std::vector<std::string> gdb_arguments;
  int port = 0;
};

// Runs until the handler's first instruction, or to where it crashes before: then nothing is known of the handler.
constexpr std::string_view kGdbScript =
    "tbreak mayfly_replay_ready\n"
    "run\n"
    "if *(long*)&mayfly_replay_handler != 0\n"
    "  tbreak **(long*)&mayfly_replay_handler\n"
    "  continue\n"
    "end\n";

// The path of a file that is only in memory, and that the program has which this process becomes.
absl::StatusOr<std::string> KeptInMemory(const char* name, std::string_view text) {
  const int fd = ::memfd_create(name, 0);
  if (fd < 0) return base::ErrnoStatus(errno, "memfd_create");
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t size = ::write(fd, text.data() + written, text.size() - written);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::ErrnoStatus(errno, "write what is replayed");
    written += static_cast<std::size_t>(size);
  }
  return absl::StrCat("/proc/self/fd/", fd);
}

int Become(std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  return Fail(base::ErrnoStatus(errno, absl::StrCat("start ", command[0])), kExitFailed);
}

int Replay(const ReplayOptions& options) {
  const absl::StatusOr<Instance> instance = Instance::Find(options.port);
  if (!instance.ok()) return Fail(instance.status(), ExitCodeOf(instance.status()));
  const absl::StatusOr<std::string> stored = instance->Get(absl::StrCat("/v1/replay/", options.id));
  if (!stored.ok()) return Fail(stored.status(), ExitCodeOf(stored.status()));
  Json json = Json::parse(*stored, nullptr, false);
  if (!json.is_object()) return Fail(absl::InternalError("`mayfly up` answers with nonsense"), kExitFailed);
  if (!options.module.empty()) json["module"] = options.module;
  if (json.value("module", "").empty()) {
    return Fail(absl::FailedPreconditionError("the function's module is fetched by its replicas and is not a "
                                              "file here: name a build of it, as in "
                                              "--module build/orders.so"),
                kExitFailed);
  }
  const absl::StatusOr<std::string> file = KeptInMemory("mayfly-replay", json.dump());
  if (!file.ok()) return Fail(file.status(), kExitFailed);
  std::fprintf(stderr, "Replays %s of %s in this process, without a worker's limits.\n", options.id.c_str(),
               json.value("function", "").c_str());
  const std::string program = base::BesideThis("mayfly-replay");
  if (!options.gdb) return Become({program, *file});
  const std::string gdb = FindProgram("gdb");
  if (gdb.empty())
    return Fail(absl::NotFoundError("there is no gdb on the PATH: apt-get install gdb"), kExitFailed);
  const absl::StatusOr<std::string> script = KeptInMemory("mayfly-replay-gdb", kGdbScript);
  if (!script.ok()) return Fail(script.status(), kExitFailed);
  std::vector<std::string> command = {gdb, "-q", "-x", *script};
  command.insert(command.end(), options.gdb_arguments.begin(), options.gdb_arguments.end());
  command.insert(command.end(), {"--args", program, *file});
  return Become(std::move(command));
}

}  // namespace

void AddReplay(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand(
      "replay", "Call a function's handler with a stored event once more, here, under gdb if you like");
  const auto options = std::make_shared<ReplayOptions>();
  command->add_option("ID", options->id, "As `mayfly dlq list` or `mayfly events` names it")
      ->required()
      ->type_name("");
  command->add_flag("--gdb", options->gdb, "Under gdb, which stops where the handler begins");
  command
      ->add_option("--module", options->module,
                   "Another build of the module, such as one without optimization")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  command->add_option("GDB-ARGUMENT", options->gdb_arguments, "With --gdb, after `--`: more arguments of gdb")
      ->type_name("");
  command->add_option("--port,-p", options->port, "Port of the `mayfly up` to ask; needed if several run")
      ->type_name("PORT");
  command->footer(
      "The event stays where it is: nothing is settled, redriven or counted. The handler's own doing, such "
      "as what it\n"
      "writes to a database, is done again.\n"
      "Examples:\n"
      "  mayfly replay 01J8 > answer.json\n"
      "  mayfly replay 01J8 --gdb\n"
      "  mayfly replay 01J8 --gdb --module build/debug/orders.so -- -ex 'break parse_order' -ex continue");
  command->callback([&action, options] { action = [options] { return Replay(*options); }; });
}

}  // namespace mayfly::cli
