// One invocation in a pool. Guarded by the pool's mutex, but for what is constant.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/pool/answer.h"
#include "runtime/pool/worker_pool.h"
#include "runtime/pool/worker_process.h"

namespace mayfly::runtime {

class PoolCore;

class Call final : public PoolCall {
 public:
  Call(std::shared_ptr<PoolCore> core, std::shared_ptr<ResponseSink> call_sink, std::string call_id,
       std::uint64_t max_response_bytes)
      : sink(std::move(call_sink)),
        id(std::move(call_id)),
        answer(max_response_bytes),
        core_(std::move(core)) {}

  void Write(std::string_view data, bool end) override;
  void Grant(std::uint64_t bytes) override;
  void Cancel() override;

  const std::shared_ptr<ResponseSink> sink;
  const std::string id;
  std::chrono::steady_clock::time_point deadline;
  std::chrono::steady_clock::time_point given_at;
  std::shared_ptr<WorkerProcess> worker;  // null once it has ended
  Answer answer;
  std::uint64_t window = 0;
  std::uint64_t written = 0;    // of the body
  std::size_t body_offset = 0;  // in its area
  std::uint32_t number = 0;     // among its worker's calls, once it was given
  bool small = false;           // lies in a small area
  bool filling = false;         // its body is being copied, without the mutex
  bool given = false;           // the worker was told
  bool blocked = false;         // until the window grows
  bool too_large = false;       // more body than is allowed
  bool cancelled = false;
  int replacements = 0;  // workers that died before they took it

 private:
  const std::shared_ptr<PoolCore> core_;
};

}  // namespace mayfly::runtime
