// mayfly dev: everything that `up` does, and a build whenever a source changes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/log_sink.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/project.h"
#include "cli/serve.h"
#include "cli/serve_options.h"
#include "cli/source_watcher.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kQuiet{30};

struct DevOptions {
  ServeOptions serve;
  std::string folder = ".";
  std::string build;
};

void Say(const std::string& line) { base::log::Sink().Write(line); }

bool IsBelow(const fs::path& path, const fs::path& folder) {
  const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

// The functions whose modules `project` builds, or its folder's name.
std::string NamesOf(const Project& project, const LocalStack* stack) {
  std::vector<std::string> names;
  if (stack != nullptr) {
    for (const FunctionView& view : stack->Functions()) {
      if (view.object.function && IsBelow(view.object.function->spec.artifact.path, project.folder)) {
        names.push_back(view.object.function->name);
      }
    }
  }
  return names.empty() ? project.folder.filename().string() : absl::StrJoin(names, ", ");
}

// What the tools said is shown when they fail; else it is of no interest.
bool Build(const Project& project, const LocalStack* stack, const std::stop_token& stop) {
  constexpr std::size_t kMostOutput = 1u << 20;
  std::string output;
  const auto start = std::chrono::steady_clock::now();
  const absl::Status status = BuildProject(
      project,
      [&output](std::string_view text) {
        if (output.size() < kMostOutput) output += text;
      },
      stop, false);
  if (absl::IsCancelled(status)) return false;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const std::string names = NamesOf(project, stack);
  if (!status.ok()) {
    Say(absl::StrCat(output, output.empty() || output.back() == '\n' ? "" : "\n",
                     Paint(absl::StrCat("could not build ", names), Colour::kRed), ": ", status.message(),
                     stack != nullptr ? "; the code before it goes on serving" : ""));
    return false;
  }
  Say(Paint(absl::StrFormat("%s %s in %.1fs", stack == nullptr ? "built" : "rebuilt", names, took.count()),
            Colour::kGreen));
  return true;
}

// Watches the sources of `projects`. From before the first build on: what is saved during a build counts.
absl::StatusOr<SourceWatcher> Watch(const std::vector<Project>& projects) {
  std::vector<fs::path> folders;
  folders.reserve(projects.size());
  for (const Project& project : projects) folders.push_back(project.folder);
  return SourceWatcher::Create(std::move(folders));
}

// Builds what changed, again and again.
void KeepBuilt(const std::vector<Project>& projects, SourceWatcher& watcher, LocalStack& stack,
               const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const std::set<fs::path> changed = watcher.Wait(stop, kQuiet);
    for (const Project& project : projects) {
      std::vector<fs::path> touched;
      std::copy_if(changed.begin(), changed.end(), std::back_inserter(touched),
                   [&project](const fs::path& path) { return IsBelow(path, project.folder); });
      if (touched.empty() || stop.stop_requested()) continue;
      AgeOutputs(project, touched);
      Build(project, &stack, stop);
    }
  }
}

int Dev(DevOptions& options) {
  absl::StatusOr<std::vector<Project>> projects = FindProjects(options.folder);
  if (!options.build.empty()) {
    std::error_code error;
    projects = std::vector<Project>{
        {fs::weakly_canonical(options.folder, error), ProjectKind::kCommand, {}, options.build}};
  }
  if (!projects.ok()) return Fail(projects.status(), kExitBuildFailed);
  absl::StatusOr<SourceWatcher> watched = Watch(*projects);
  if (!watched.ok())
    Say(absl::StrCat("mayfly: sources are not watched: ", std::string(watched.status().message())));
  // What does not build yet is served once it does.
  for (const Project& project : *projects) Build(project, nullptr, {});
  options.serve.stack.paths = {options.folder};
  options.serve.pretty = !options.serve.json_logs;
  if (watched.ok()) {
    // std::function wants what can be copied.
    options.serve.beside =
        [projects = *projects, watcher = std::make_shared<SourceWatcher>(*std::move(watched))](
            LocalStack& stack, const std::stop_token& stop) { KeepBuilt(projects, *watcher, stack, stop); };
  }
  return Serve(options.serve);
}

}  // namespace

void AddDev(CLI::App& app, Action& action) {
  CLI::App* const command =
      app.add_subcommand("dev", "Serve a project, and build it again whenever a source changes");
  const auto options = std::make_shared<DevOptions>();
  command->add_option("DIR", options->folder, "The project's folder, or one with several")
      ->type_name("")
      ->capture_default_str();
  command->add_option("--build", options->build, "A command that builds it, instead of cmake, cargo or cc")
      ->type_name("COMMAND");
  AddServeOptions(*command, options->serve);
  command->footer(
      "Examples:\n"
      "  mayfly dev                        the project in this folder\n"
      "  mayfly dev examples/              several at once\n"
      "  mayfly dev --build 'make -s'      with a build of one's own\n"
      "A change is served as soon as it is built; while it does not compile, the code before it goes on "
      "serving.");
  command->callback([&action, options] { action = [options] { return Dev(*options); }; });
}

}  // namespace mayfly::cli
