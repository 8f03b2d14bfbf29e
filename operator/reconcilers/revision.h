// A Revision is one immutable state of a function's code: module digest, handler, config, environment and limits.
//
// Its name is a hash of just that, so the same manifest and module have the same name after a restart, and what only
// concerns routing or scaling (triggers, timeout, replica counts) makes no new one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "mayfly/v1/runtime.pb.h"
#include "operator/api/function.h"

namespace mayfly::op {

struct Revision {
  std::string name;  // 10 hexadecimal digits
  std::shared_ptr<const Function> function;
  std::string artifact_path;
  std::string artifact_sha256;
};

// REQUIRES: `function` is not null and `artifact_sha256` not empty.
Revision MakeRevision(std::shared_ptr<const Function> function, std::string artifact_path,
                      std::string artifact_sha256);

// What a runtime is told to make `revision` serve.
v1::LoadRequest MakeLoadRequest(const Revision& revision, std::uint64_t epoch);

}  // namespace mayfly::op
