#include "operator/kube/object_meta.h"

#include "operator/kube/resource.h"

namespace mayfly::kube {

ObjectMeta ReadMeta(const JsonView& object) {
  const JsonView metadata = object["metadata"];
  return {.space = std::string(metadata["namespace"].Text()),
          .name = std::string(metadata["name"].Text()),
          .uid = std::string(metadata["uid"].Text()),
          .generation = metadata["generation"].Integer(),
          .deleting = metadata["deletionTimestamp"].exists()};
}

std::string KeyOf(const JsonView& object) {
  const JsonView metadata = object["metadata"];
  return KeyOf(metadata["namespace"].Text(), metadata["name"].Text());
}

std::string_view ControllerUid(const JsonView& object) {
  std::string_view uid;
  object["metadata"]["ownerReferences"].ForEachItem([&uid](JsonView owner) {
    if (owner["controller"].Bool()) uid = owner["uid"].Text();
  });
  return uid;
}

}  // namespace mayfly::kube
