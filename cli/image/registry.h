// Pushes an image to a registry, over the protocol of the OCI distribution specification.
//
// What the registry has already is not sent again. Who we are is told when it asks: by a password, or by a token that its
// token server gives for one.
#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "cli/image/image_reference.h"
#include "cli/image/module_image.h"
#include "cli/image/registry_credentials.h"

namespace mayfly::cli {

struct PushOptions {
  bool plain_http = false;  // this machine's own registries are spoken to so in any case
  std::optional<RegistryCredentials> credentials = {};
};

struct Pushed {
  std::string reference;  // by digest
  int sent = 0;           // blobs that the registry had not
};

// kUnauthenticated, kPermissionDenied, kUnavailable (it does not answer), or what the registry said.
absl::StatusOr<Pushed> PushImage(const ImageReference& reference, const ModuleImage& image,
                                 const PushOptions& options);

}  // namespace mayfly::cli
