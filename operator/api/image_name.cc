#include "operator/api/image_name.h"

namespace mayfly::op {

ImageName SplitImageName(std::string_view reference) {
  reference = reference.substr(0, reference.find('@'));
  const std::size_t slash = reference.find('/');
  const std::string_view first = reference.substr(0, slash);
  // As container engines tell a registry from a part of Docker Hub.
  const bool has_host = slash != std::string_view::npos &&
                        (first.find_first_of(".:") != std::string_view::npos || first == "localhost");
  ImageName name;
  name.host = has_host ? first : "docker.io";
  if (has_host) reference.remove_prefix(slash + 1);
  name.path = reference.substr(0, reference.find(':'));
  return name;
}

}  // namespace mayfly::op
