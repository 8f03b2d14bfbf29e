// metadata of an object: what every projection begins with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "operator/kube/json.h"

namespace mayfly::kube {

struct ObjectMeta {
  std::string space;
  std::string name;
  std::string uid;
  std::int64_t generation = 0;
  bool deleting = false;  // it has a deletionTimestamp

  bool operator==(const ObjectMeta&) const = default;
};

ObjectMeta ReadMeta(const JsonView& object);

// "namespace/name" of an object.
std::string KeyOf(const JsonView& object);

// The uid of the owner that is its controller; "" if it has none.
std::string_view ControllerUid(const JsonView& object);

}  // namespace mayfly::kube
