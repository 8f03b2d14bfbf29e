// An OCI image that carries a module and nothing else: one layer with /module.so, for the architecture that the module was
// compiled for. A cluster mounts it beside the runtime.
//
// The same module always gives the same image, digest included: no time, name or user of this machine is in it.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mayfly::cli {

inline constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";

struct Blob {
  std::string content;
  std::string digest;  // "sha256:…"
};

struct ModuleImage {
  Blob layer;
  Blob config;
  Blob manifest;
};

// kInvalidArgument if `module` is no ELF file of an architecture that images have.
absl::StatusOr<ModuleImage> MakeModuleImage(std::string_view module);

}  // namespace mayfly::cli
