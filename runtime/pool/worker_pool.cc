#include "runtime/pool/worker_pool.h"

#include <utility>

#include "runtime/pool/pool_core.h"

namespace mayfly::runtime {
namespace {

// Calls outlive their pool: they keep the core, which by then has nothing left to do.
class ProcessPool final : public WorkerPool {
 public:
  explicit ProcessPool(std::shared_ptr<PoolCore> core) : core_(std::move(core)) {}
  ~ProcessPool() override { core_->Close(); }

  std::shared_ptr<PoolCall> Start(const v1::Start& start, std::string_view body, bool body_complete,
                                  std::shared_ptr<ResponseSink> sink) override {
    return core_->Start(start, body, body_complete, std::move(sink));
  }
  std::uint32_t Drain(std::chrono::steady_clock::time_point deadline) override {
    return core_->Drain(deadline);
  }
  std::uint32_t slots() const override { return core_->options().slots; }
  std::string_view revision() const override { return core_->options().revision; }
  std::string_view handler() const override { return core_->handler(); }
  LoadTimes load_times() const override { return core_->load_times(); }
  PoolState State() const override { return core_->State(); }

 private:
  const std::shared_ptr<PoolCore> core_;
};

}  // namespace

std::unique_ptr<WorkerPool> WorkerPool::Create(PoolOptions options, base::Metrics& metrics,
                                               v1::Problem& problem) {
  auto core = std::make_shared<PoolCore>(std::move(options), metrics);
  if (!core->Open(problem)) {
    core->Close();
    return nullptr;
  }
  return std::make_unique<ProcessPool>(std::move(core));
}

}  // namespace mayfly::runtime
