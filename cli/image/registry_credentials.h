// Who we are at a registry: what `docker login`, `podman login` and `buildah login` left behind.
//
// Read are $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json or ~/.docker/config.json, and
// $XDG_RUNTIME_DIR/containers/auth.json; of these the first that knows the registry counts, by an entry of its own, or by
// the helper program (docker-credential-NAME) that it names.
#pragma once

#include <optional>
#include <string>

namespace mayfly::cli {

struct RegistryCredentials {
  std::string user;
  std::string password;
};

// Nothing if nobody logged in at `host`.
std::optional<RegistryCredentials> FindRegistryCredentials(const std::string& host);

}  // namespace mayfly::cli
