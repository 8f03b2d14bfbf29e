// Why a worker died, said as an Outcome and a Problem.
#pragma once

#include <cstdint>
#include <string_view>

#include "mayfly/v1/runtime.pb.h"
#include "runtime/ipc/layout.h"

namespace mayfly::runtime {

// A copy of a CrashReport with every size checked, so that nothing of it changes while it is read.
struct CrashNotes {
  ipc::CrashKind kind = ipc::CrashKind::kNone;
  std::uint32_t signal = 0;
  std::uint64_t address = 0;
  std::vector<std::uint64_t> frames;
  std::string text;
  std::string maps;
};
CrashNotes CopyCrashReport(const ipc::CrashReport& report);

struct Death {
  v1::Outcome outcome = v1::OUTCOME_CRASHED;
  v1::Problem problem;
};

// `wait_status` is what wait(2) says of the process; `memory_bytes` its limit; `who` of its code ran, for the sentence.
Death Explain(int wait_status, const CrashNotes& notes, std::uint64_t memory_bytes,
              std::string_view who = "the handler");

}  // namespace mayfly::runtime
