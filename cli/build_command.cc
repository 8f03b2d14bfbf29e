#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/project.h"
#include "cli/push.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

int Build(const std::string& path, const PushRequest& push) {
  const absl::StatusOr<std::vector<Project>> projects = FindProjects(path);
  if (!projects.ok()) return Fail(projects.status(), kExitBuildFailed);
  if (!push.reference.empty() && projects->size() != 1) {
    return Fail("--push is for one project: name its folder", kExitUsage);
  }
  for (const Project& project : *projects) {
    const auto start = std::chrono::steady_clock::now();
    const absl::Status status = BuildProject(
        project, [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }, {}, true);
    if (!status.ok()) {
      return Fail(absl::StrCat(project.folder.string(), ": ", status.message()), kExitBuildFailed);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const std::string what = (project.source.empty() ? project.folder : project.source).filename();
    std::printf("built %s in %.1f s\n", what.c_str(), took.count());
    std::fflush(stdout);
  }
  return push.reference.empty() ? kExitOk : Push(projects->front(), push);
}

}  // namespace

void AddBuild(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("build", "Build a function's module");
  const auto path = std::make_shared<std::string>(".");
  command->add_option("PATH", *path, "Folder with a CMakeLists.txt or Cargo.toml, or a single source file")
      ->type_name("")
      ->capture_default_str();
  const auto push = std::make_shared<PushRequest>();
  CLI::Option* const to = command
                              ->add_option("--push", push->reference,
                                           "Then push an image that carries the module, HOST/PATH[:TAG]")
                              ->type_name("IMAGE");
  command
      ->add_option("--module", push->module,
                   "The module to push (default: the one that the manifest in the folder names)")
      ->type_name("FILE")
      ->needs(to);
  command->add_flag("--plain-http", push->plain_http, "The registry has no TLS")->needs(to);
  command->footer(
      "Examples:\n"
      "  mayfly build                 the project in this folder\n"
      "  mayfly build hello           the one in hello/\n"
      "  mayfly build hello.c         build/hello.so from one file\n"
      "  mayfly build hello --push registry.example.com/tools/hello:1\n"
      "                               and an image of it, as spec.artifact.image takes it\n"
      "The SDK comes with this program; MAYFLY_SDK_DIR names another.");
  command->callback([&action, path, push] { action = [path, push] { return Build(*path, *push); }; });
}

}  // namespace mayfly::cli
