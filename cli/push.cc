#include "cli/push.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>

#include "absl/strings/str_cat.h"
#include "cli/exit_codes.h"
#include "cli/image/image_reference.h"
#include "cli/image/module_image.h"
#include "cli/image/registry.h"
#include "cli/terminal.h"
#include "operator/api/manifest.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::string> ReadModule(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return absl::NotFoundError(absl::StrCat("there is no module ", path.string(), ": name it with --module"));
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

absl::StatusOr<fs::path> FindModule(const Project& project) {
  if (project.kind == ProjectKind::kSingleFile)
    return project.folder / "build" / absl::StrCat(project.source.stem().string(), ".so");
  std::set<fs::path> modules;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(project.folder, error)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".yaml" && extension != ".yml") continue;
    for (const op::ManifestDocument& document : op::ReadManifestFile(entry.path()).documents) {
      if (document.function && !document.function->spec.artifact.path.empty())
        modules.insert(document.function->spec.artifact.path);
    }
  }
  if (modules.size() == 1) return *modules.begin();
  return absl::InvalidArgumentError(
      absl::StrCat("the manifests in ", project.folder.string(), " name ", modules.size(),
                   " modules by spec.artifact.path: say which to push with --module"));
}

int Push(const Project& project, const PushRequest& request) {
  const absl::StatusOr<ImageReference> reference = ParseImageReference(request.reference);
  if (!reference.ok()) return Fail(reference.status(), kExitUsage);
  const absl::StatusOr<fs::path> path =
      request.module.empty() ? FindModule(project) : absl::StatusOr<fs::path>(request.module);
  if (!path.ok()) return Fail(path.status(), kExitUsage);
  const absl::StatusOr<std::string> module = ReadModule(*path);
  if (!module.ok()) return Fail(module.status());
  const absl::StatusOr<ModuleImage> image = MakeModuleImage(*module);
  if (!image.ok()) return Fail(absl::StrCat(path->string(), ": ", image.status().message()));
  const absl::StatusOr<Pushed> pushed =
      PushImage(*reference, *image,
                {.plain_http = request.plain_http, .credentials = FindRegistryCredentials(reference->host)});
  if (!pushed.ok()) return Fail(absl::StrCat("cannot push: ", pushed.status().message()));
  std::fprintf(
      stderr, "%s\n",
      pushed->sent == 0 ? "the registry had it already; for the manifest:" : "pushed; for the manifest:");
  std::printf("  artifact:\n    image: %s\n", pushed->reference.c_str());
  return kExitOk;
}

}  // namespace mayfly::cli
