// The answer to one invocation, made of the records that a worker puts into its ring.
//
// The worker keeps the ABI's rules for honest modules; here they are checked again, because a module can write
// what it likes. What comes out are ResponseParts for the caller and, at the end, the Result's outcome.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "mayfly/v1/runtime.pb.h"
#include "runtime/ipc/layout.h"

namespace mayfly::runtime {

class Answer {
 public:
  // `max_bytes` of body; 0: no limit.
  explicit Answer(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  enum class Step {
    kMore,
    kDone,    // handle has returned: result() is complete but for its metering
    kBroken,  // no worker of ours writes this: result() says so, and the worker must go
  };
  Step Take(ipc::RecordKind kind, std::string&& payload);

  // The handler wrote over what is not an answer's.
  void Spoil();

  // Whether there is something for the caller, which TakePart() then moves out. With a result that is not OK,
  // a head that was not yet delivered never will be.
  bool HasPart() const { return has_part_; }
  v1::ResponsePart TakePart();

  v1::Result& result() { return result_; }
  // Whether the handler left processes, or threads, behind.
  bool stray_children() const { return stray_children_; }
  bool stray_threads() const { return stray_threads_; }
  // How long the handler ran, as the worker says.
  std::chrono::nanoseconds ran() const { return ran_; }

 private:
  enum class State { kOpen, kBegun, kEnded, kFailed };
  bool TakeHead(const std::string& payload);
  Step Finish(const ipc::DoneRecord& done);
  Step Break(const std::string& what);
  void Conclude(v1::Outcome outcome, const char* component, const char* reason, std::string message);

  const std::uint64_t max_bytes_;
  State state_ = State::kOpen;
  std::uint64_t bytes_ = 0;
  std::string failure_;
  v1::ResponsePart part_;
  v1::Result result_;
  bool has_part_ = false;
  bool head_delivered_ = false;
  bool stray_children_ = false;
  bool stray_threads_ = false;
  std::chrono::nanoseconds ran_{0};
};

}  // namespace mayfly::runtime
