// A Revision is one immutable state of a function's code: module digest, handler, config, environment and limits.
//
// Its name is a hash of just that, so the same manifest and module have the same name after a restart, and what only
// concerns routing or scaling (triggers, timeout, replica counts) makes no new one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "mayfly/v1/runtime.pb.h"
#include "operator/api/function.h"
#include "operator/controller/cluster.h"

namespace mayfly::op {

struct Revision {
  std::string name;  // 10 hexadecimal digits
  std::shared_ptr<const Function> function;
  std::string artifact_path;
  std::string artifact_sha256;                         // "" if it is not known
  std::shared_ptr<const std::string> artifact_bytes;   // null: at artifact_path, or at artifact_url
  std::string artifact_url;                            // "" if it is not fetched
  std::optional<v1::ModuleImage> artifact_image = {};  // at artifact_path, or out of this where that is not
};

// The revision that `object` wants; nothing while it has no function, or its artifact is not known.
std::optional<Revision> MakeRevision(const FunctionObject& object);

// What a runtime is told to make `revision` serve, that gets its module where the revision says; with `image`, out of that.
v1::LoadRequest MakeLoadRequest(const Revision& revision, std::uint64_t epoch,
                                const std::optional<v1::ModuleImage>& image = std::nullopt);

}  // namespace mayfly::op
