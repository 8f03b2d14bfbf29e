// A Project is a folder with the source of functions, and how it is built.
//
//   CMakeLists.txt           cmake, into build/
//   Cargo.toml               cargo build --release, into target/
//   a single .c or .cc file  the C or C++ compiler, into build/<name>.so
//
// The SDK need not be installed: the program carries it, and lays it into <build>/mayfly-sdk, where
// find_package(mayfly) and the compiler find it. MAYFLY_SDK_DIR names another.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mayfly::cli {

enum class ProjectKind { kCMake, kCargo, kSingleFile, kCommand };

struct Project {
  std::filesystem::path folder;  // absolute
  ProjectKind kind = ProjectKind::kCMake;
  std::filesystem::path source;  // of kSingleFile
  std::string command;           // of kCommand: a shell's
};

// The project in `path`, a folder or a single source file. kNotFound, with what it could be, if there is none.
absl::StatusOr<Project> FindProject(const std::filesystem::path& path);

// The project in `path`, or those below it that have a manifest beside them (examples/ is such a folder).
absl::StatusOr<std::vector<Project>> FindProjects(const std::filesystem::path& path);

// Builds it. `output` hears what the tools say, as they say it. kFailedPrecondition if a tool says that the source is
// wrong, kCancelled if `stop` was requested.
absl::Status BuildProject(const Project& project, const std::function<void(std::string_view)>& output,
                          const std::stop_token& stop, bool foreground);

// Makes what was built from the sources `changed` look older than they are, so that the next build takes them in. Build
// tools compare times alone: to them an object is new whose compiler had read its source before that was saved, if
// it wrote the object after that. The sources stay as they are.
// REQUIRES: no build of `project` runs.
void AgeOutputs(const Project& project, const std::vector<std::filesystem::path>& changed);

// Whether a change of the file `path` should lead to a build.
bool IsSourceFile(const std::filesystem::path& path);
// Whether a folder of this name holds no sources: build, target, .git, …
bool IsOutputFolder(const std::string& name);

}  // namespace mayfly::cli
