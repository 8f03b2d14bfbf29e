// What `mayfly build --push` does once the module is built: an image of it, in a registry, and the lines for the manifest.
#pragma once

#include <string>

#include "cli/project.h"

namespace mayfly::cli {

struct PushRequest {
  std::string reference;  // "": nothing is pushed
  std::string module;     // "": see FindModule
  bool plain_http = false;
};

// The module that `project` gives: the artifact.path of the manifests in its folder, if they name one alone; of a single
// source file, what is built from it. kInvalidArgument if that does not tell.
absl::StatusOr<std::filesystem::path> FindModule(const Project& project);

// Returns the exit code; says what is wrong.
int Push(const Project& project, const PushRequest& request);

}  // namespace mayfly::cli
