// The registry and the repository that the reference of an image names; tags and digests are left out.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::op {

struct ImageName {
  std::string host;  // with its port; "docker.io" if none is written
  std::string path;

  bool operator==(const ImageName&) const = default;
};

ImageName SplitImageName(std::string_view reference);

}  // namespace mayfly::op
