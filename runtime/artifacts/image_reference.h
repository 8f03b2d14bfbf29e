// The name of an image, as Kubernetes has it: [HOST[:PORT]/]PATH[:TAG][@sha256:…]. Without a host it is Docker Hub's, and
// without a tag "latest"; if there is a digest, the tag says nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mayfly::runtime {

struct ImageReference {
  std::string host;  // with its port, as people write it
  std::string path;
  std::string tag;
  std::string digest;  // 64 hexadecimal digits; "": the tag says which

  // The host that answers: Docker Hub's is another one than its images are named by.
  std::string Server() const { return host == "docker.io" ? "registry-1.docker.io" : host; }
};

// Nothing if `text` names none.
std::optional<ImageReference> ParseImageReference(std::string_view text);

// Whether it is the SHA-256 of something: 64 lower-case hexadecimal digits.
bool IsSha256(std::string_view text);

}  // namespace mayfly::runtime
