// The name of an image: HOST[:PORT]/PATH[:TAG]. Without a host it is Docker Hub's.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mayfly::cli {

struct ImageReference {
  std::string host;  // with its port, as people write it
  std::string path;
  std::string tag;  // "latest" if none is given

  // The host that answers: Docker Hub's is another one than its images are named by.
  std::string Server() const { return host == "docker.io" ? "registry-1.docker.io" : host; }
  // "HOST/PATH".
  std::string Name() const { return host + "/" + path; }
};

absl::StatusOr<ImageReference> ParseImageReference(std::string_view text);

}  // namespace mayfly::cli
