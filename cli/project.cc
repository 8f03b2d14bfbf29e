#include "cli/project.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/embedded.h"
#include "cli/process.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kSdkConfig[] =
    "# Written by `mayfly build`: the SDK that the program carries.\n"
    "if(NOT TARGET mayfly::sdk)\n"
    "  add_library(mayfly::sdk INTERFACE IMPORTED)\n"
    "  set_target_properties(mayfly::sdk PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "
    "\"${CMAKE_CURRENT_LIST_DIR}/include\" INTERFACE_COMPILE_FEATURES cxx_std_20)\n"
    "endif()\n"
    "include(${CMAKE_CURRENT_LIST_DIR}/cmake/MayflyFunction.cmake)\n";
constexpr char kSdkVersion[] = "set(PACKAGE_VERSION \"" MAYFLY_VERSION
                               "\")\n"
                               "set(PACKAGE_VERSION_COMPATIBLE TRUE)\n";

// Writes `content` to `path` unless it is there already, so that nothing is compiled again for it.
absl::Status WriteIfChanged(const fs::path& path, std::string_view content) {
  {
    std::ifstream file(path, std::ios::binary);
    const std::string present{std::istreambuf_iterator<char>(file), {}};
    if (file && present == content) return absl::OkStatus();
  }
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  if (!file) return absl::PermissionDeniedError(absl::StrCat("cannot write ", path.string()));
  return absl::OkStatus();
}

// The folder of the SDK: the one that the user names, or the carried one, laid into `build`.
absl::StatusOr<std::string> LaySdk(const fs::path& build) {
  const char* const own = std::getenv("MAYFLY_SDK_DIR");
  if (own != nullptr && *own != '\0') {
    if (!fs::exists(fs::path(own) / "include/mayfly/function.h")) {
      return absl::FailedPreconditionError(
          absl::StrCat("MAYFLY_SDK_DIR=", own,
                       " has no include/mayfly/function.h: unset it to use the SDK of this program"));
    }
    return std::string(own);
  }
  const fs::path sdk = build / "mayfly-sdk";
  for (const EmbeddedFile& file : SdkFiles()) {
    if (absl::Status status = WriteIfChanged(sdk / file.path, file.content); !status.ok()) return status;
  }
  if (absl::Status status = WriteIfChanged(sdk / "mayflyConfig.cmake", kSdkConfig); !status.ok())
    return status;
  if (absl::Status status = WriteIfChanged(sdk / "mayflyConfigVersion.cmake", kSdkVersion); !status.ok())
    return status;
  return sdk.string();
}

bool HasManifest(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const fs::path extension = it->path().extension();
    if (extension != ".yaml" && extension != ".yml") continue;
    std::ifstream file(it->path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    if (text.find("mayfly.dev/") != std::string::npos) return true;
  }
  return false;
}

void FindBelow(const fs::path& folder, int depth, std::vector<Project>& found) {
  constexpr int kDeepest = 8;
  if (depth > kDeepest) return;
  if (HasManifest(folder)) {
    if (absl::StatusOr<Project> project = FindProject(folder); project.ok()) {
      found.push_back(*std::move(project));
      return;
    }
  }
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error) && !it->is_symlink(error) &&
        !IsOutputFolder(it->path().filename().string())) {
      folders.push_back(it->path());
    }
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& each : folders) FindBelow(each, depth + 1, found);
}

// Runs one step of a build.
absl::Status Step(std::vector<std::string> command, const fs::path& folder,
                  const std::function<void(std::string_view)>& output, const std::stop_token& stop,
                  bool foreground) {
  RunOptions options;
  const std::string shown = absl::StrJoin(command, " ");
  options.command = std::move(command);
  options.folder = folder.string();
  options.output = output;
  options.stop = stop;
  options.foreground = foreground;
  const absl::StatusOr<int> code = RunProgram(options);
  if (!code.ok()) return code.status();
  if (*code != 0)
    return absl::FailedPreconditionError(absl::StrCat("`", shown, "` failed with exit code ", *code));
  return absl::OkStatus();
}

bool IsCpp(const fs::path& path) {
  static constexpr std::array<std::string_view, 4> kCpp = {".cc", ".cpp", ".cxx", ".C"};
  return std::find(kCpp.begin(), kCpp.end(), path.extension().string()) != kCpp.end();
}

}  // namespace

absl::StatusOr<Project> FindProject(const fs::path& path) {
  std::error_code error;
  Project project;
  const fs::path absolute = fs::weakly_canonical(path, error);
  if (error || !fs::exists(absolute)) return absl::NotFoundError(absl::StrCat("there is no ", path.string()));
  if (fs::is_regular_file(absolute)) {
    if (!IsCpp(absolute) && absolute.extension() != ".c") {
      return absl::NotFoundError(absl::StrCat(path.string(), " is no C or C++ source file"));
    }
    project.folder = absolute.parent_path();
    project.kind = ProjectKind::kSingleFile;
    project.source = absolute;
    return project;
  }
  project.folder = absolute;
  if (fs::exists(absolute / "CMakeLists.txt")) {
    project.kind = ProjectKind::kCMake;
    return project;
  }
  if (fs::exists(absolute / "Cargo.toml")) {
    project.kind = ProjectKind::kCargo;
    return project;
  }
  std::vector<fs::path> sources;
  for (fs::directory_iterator it(absolute, error), end; !error && it != end; it.increment(error)) {
    if (IsCpp(it->path()) || it->path().extension() == ".c") sources.push_back(it->path());
  }
  if (sources.size() == 1) {
    project.kind = ProjectKind::kSingleFile;
    project.source = sources.front();
    return project;
  }
  return absl::NotFoundError(
      absl::StrCat(path.string(),
                   " has no CMakeLists.txt, no Cargo.toml and not exactly one .c or .cc file: make a "
                   "project with `mayfly new NAME`, or name the folder of one"));
}

absl::StatusOr<std::vector<Project>> FindProjects(const fs::path& path) {
  absl::StatusOr<Project> whole = FindProject(path);
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  // A folder that is no project of its own may hold several; and so may one whose CMakeLists.txt is of a larger tree.
  if (folder && (!whole.ok() || !HasManifest(path))) {
    std::vector<Project> found;
    FindBelow(fs::weakly_canonical(path, error), 0, found);
    if (!found.empty()) return found;
  }
  if (!whole.ok()) return whole.status();
  return std::vector<Project>{*std::move(whole)};
}

absl::Status BuildProject(const Project& project, const std::function<void(std::string_view)>& output,
                          const std::stop_token& stop, bool foreground) {
  if (project.kind == ProjectKind::kCommand) {
    return Step({"sh", "-c", project.command}, project.folder, output, stop, foreground);
  }
  if (project.kind == ProjectKind::kCargo) {
    return Step({"cargo", "build", "--release"}, project.folder, output, stop, foreground);
  }
  const fs::path build = project.folder / "build";
  const absl::StatusOr<std::string> sdk = LaySdk(build);
  if (!sdk.ok()) return sdk.status();
  if (project.kind == ProjectKind::kSingleFile) {
    const bool cpp = IsCpp(project.source);
    const char* const variable = std::getenv(cpp ? "CXX" : "CC");
    const fs::path module = build / absl::StrCat(project.source.stem().string(), ".so");
    const std::string temporary = module.string() + ".new";
    absl::Status status = Step({variable != nullptr && *variable != '\0' ? variable : (cpp ? "c++" : "cc"),
                                cpp ? "-std=c++20" : "-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-fPIC",
                                "-shared", "-fvisibility=hidden", "-Wl,-z,defs", "-Wl,--build-id", "-I",
                                *sdk + "/include", project.source.string(), "-o", temporary},
                               project.folder, output, stop, foreground);
    if (!status.ok()) return status;
    std::error_code error;
    fs::rename(temporary, module, error);
    if (error) return absl::PermissionDeniedError(absl::StrCat("cannot write ", module.string()));
    return absl::OkStatus();
  }
  if (!fs::exists(build / "CMakeCache.txt")) {
    std::vector<std::string> configure = {"cmake",
                                          "-S",
                                          project.folder.string(),
                                          "-B",
                                          build.string(),
                                          "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                                          "-Dmayfly_DIR=" + *sdk};
    if (!FindProgram("ninja").empty()) configure.insert(configure.end(), {"-G", "Ninja"});
    absl::Status status = Step(std::move(configure), project.folder, output, stop, foreground);
    if (!status.ok()) return status;
  }
  return Step({"cmake", "--build", build.string()}, project.folder, output, stop, foreground);
}

void AgeOutputs(const Project& project, const std::vector<fs::path>& changed) {
  // cargo notes when it began, and a single file is compiled in any case.
  if (project.kind != ProjectKind::kCMake && project.kind != ProjectKind::kCommand) return;
  static constexpr std::array<std::string_view, 6> kOutputs = {".a", ".gch", ".o", ".obj", ".pch", ".so"};
  std::error_code error;
  fs::file_time_type oldest = fs::file_time_type::max();
  for (const fs::path& source : changed) {
    const fs::file_time_type time = fs::last_write_time(source, error);
    if (!error) oldest = std::min(oldest, time);
  }
  const fs::path root = project.kind == ProjectKind::kCMake ? project.folder / "build" : project.folder;
  fs::recursive_directory_iterator it(root, error);
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    std::error_code of_file;
    if (std::find(kOutputs.begin(), kOutputs.end(), path.extension().string()) == kOutputs.end() ||
        it->is_symlink(of_file) || !it->is_regular_file(of_file)) {
      continue;
    }
    const fs::file_time_type built = fs::last_write_time(path, of_file);
    if (!of_file && built >= oldest) fs::last_write_time(path, oldest - std::chrono::seconds(1), of_file);
  }
}

bool IsSourceFile(const fs::path& path) {
  static constexpr std::array<std::string_view, 15> kExtensions = {".c",  ".cc",  ".cpp",   ".cxx", ".h",
                                                                   ".hh", ".hpp", ".hxx",   ".inc", ".ipp",
                                                                   ".rs", ".S",   ".cmake", ".zig", ".toml"};
  const std::string name = path.filename().string();
  if (name.empty() || name.front() == '.') return false;
  if (name == "CMakeLists.txt" || name == "Makefile" || name == "Cargo.lock") return true;
  return std::find(kExtensions.begin(), kExtensions.end(), path.extension().string()) != kExtensions.end();
}

bool IsOutputFolder(const std::string& name) {
  return name.empty() || name.front() == '.' || name == "build" || name == "target" || name == "node_modules";
}

}  // namespace mayfly::cli
