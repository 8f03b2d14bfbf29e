// A FakePool is a WorkerPool for tests: invocations wait until the test answers them, or are echoed at once.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/pool/worker_pool.h"
#include "runtime/server/replica.h"

namespace mayfly::runtime {

// What the pools of one test share: it sees every invocation, of whatever revision.
class FakeWorld {
 public:
  struct Invocation final : PoolCall {
    void Write(std::string_view data, bool end) override {
      const std::lock_guard lock(world->mutex_);
      body += data;
      body_complete = body_complete || end;
      world->changed_.notify_all();
    }
    void Grant(std::uint64_t bytes) override {
      const std::lock_guard lock(world->mutex_);
      window += bytes;
      world->changed_.notify_all();
    }
    void Cancel() override {
      v1::ResponsePart part;
      part.mutable_result()->set_outcome(v1::OUTCOME_CANCELLED);
      world->Answer(*this, std::move(part), true);
    }

    FakeWorld* world = nullptr;
    std::string revision;
    v1::Start start;
    std::string body;
    bool body_complete = false;
    bool cancelled = false;
    bool ended = false;
    std::uint64_t window = 0;
    std::shared_ptr<ResponseSink> sink;
  };
  using Handle = std::shared_ptr<Invocation>;

  // If set, invocations are answered with their body as soon as it is complete at Start().
  bool echo = false;

  Replica::PoolFactory Factory();

  // The invocation with that id, waited for; null after ten seconds.
  Handle Await(const std::string& id) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return invocations_.contains(id); });
    return invocations_.contains(id) ? invocations_[id] : nullptr;
  }
  template <typename Condition>
  bool AwaitThat(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, condition);
  }

  // The one invocation there is.
  Handle Only() {
    const std::lock_guard lock(mutex_);
    return invocations_.size() == 1 ? invocations_.begin()->second : nullptr;
  }
  bool AwaitPools(int count) {
    return AwaitThat([this, count] { return pools_ == count; });
  }

  // Sends `part`; one with a result ends the invocation.
  void Answer(Invocation& invocation, v1::ResponsePart part, bool cancelled = false) {
    if (const auto sink = Put(invocation, std::move(part), cancelled)) sink->OnFlush();
  }
  void AnswerOk(Invocation& invocation, std::string data) { Answer(invocation, OkPart(std::move(data))); }
  // As a pool does that has found several answers at once.
  void AnswerOkTogether(const std::vector<Handle>& invocations, const std::string& data) {
    std::vector<std::shared_ptr<ResponseSink>> sinks;
    for (const Handle& invocation : invocations) sinks.push_back(Put(*invocation, OkPart(data), false));
    for (const auto& sink : sinks) {
      if (sink != nullptr) sink->OnFlush();
    }
  }

  int pools() const {
    const std::lock_guard lock(mutex_);
    return pools_;
  }

 private:
  friend class FakePool;
  static constexpr std::chrono::seconds kPatience{10};

  // The sink that is to be flushed; null if the invocation had ended.
  std::shared_ptr<ResponseSink> Put(Invocation& invocation, v1::ResponsePart part, bool cancelled) {
    std::shared_ptr<ResponseSink> sink;
    {
      const std::lock_guard lock(mutex_);
      if (invocation.ended) return nullptr;
      sink = invocation.sink;
      if (part.has_result()) {
        invocation.ended = true;
        invocation.sink.reset();
        invocation.cancelled = cancelled;
        --busy_[invocation.revision];
      }
      changed_.notify_all();
    }
    sink->OnPart(std::move(part));
    return sink;
  }
  static v1::ResponsePart OkPart(std::string data) {
    v1::ResponsePart part;
    part.mutable_head()->set_status(200);
    part.set_data(std::move(data));
    part.mutable_result()->set_outcome(v1::OUTCOME_OK);
    part.mutable_result()->mutable_metering()->set_wall_us(1'500);
    return part;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Handle> invocations_;
  std::map<std::string, std::uint32_t> busy_;
  int pools_ = 0;  // that exist
};

class FakePool final : public WorkerPool {
 public:
  FakePool(FakeWorld& world, PoolOptions options) : world_(world), options_(std::move(options)) {
    const std::lock_guard lock(world_.mutex_);
    ++world_.pools_;
  }
  ~FakePool() override {
    std::vector<FakeWorld::Handle> running;
    {
      const std::lock_guard lock(world_.mutex_);
      for (const auto& [id, invocation] : world_.invocations_) {
        if (invocation->revision == options_.revision && !invocation->ended) running.push_back(invocation);
      }
    }
    for (const auto& invocation : running) invocation->Cancel();
    const std::lock_guard lock(world_.mutex_);
    --world_.pools_;
    world_.changed_.notify_all();
  }

  std::shared_ptr<PoolCall> Start(const v1::Start& start, std::string_view body, bool body_complete,
                                  std::shared_ptr<ResponseSink> sink) override {
    auto invocation = std::make_shared<FakeWorld::Invocation>();
    {
      const std::lock_guard lock(world_.mutex_);
      std::uint32_t& busy = world_.busy_[options_.revision];
      if (draining_ || busy >= options_.slots) {
        invocation = nullptr;
      } else {
        ++busy;
        invocation->world = &world_;
        invocation->revision = options_.revision;
        invocation->start = start;
        invocation->body = body;
        invocation->body_complete = body_complete;
        invocation->window = start.window();
        invocation->sink = sink;
        world_.invocations_[start.invocation_id()] = invocation;
        world_.changed_.notify_all();
      }
    }
    if (!invocation) {
      sink->OnPart(NotStarted("NoSlot", "every slot is busy"));
      sink->OnFlush();
    } else if (world_.echo && body_complete) {
      world_.AnswerOk(*invocation, std::string(body));
    }
    return invocation;
  }

  std::uint32_t Drain(std::chrono::steady_clock::time_point deadline) override {
    std::unique_lock lock(world_.mutex_);
    draining_ = true;
    world_.changed_.wait_until(lock, deadline, [this] { return world_.busy_[options_.revision] == 0; });
    return world_.busy_[options_.revision];
  }

  std::uint32_t slots() const override { return options_.slots; }
  std::string_view revision() const override { return options_.revision; }
  std::string_view handler() const override {
    return options_.handler.empty() ? std::string_view("only") : options_.handler;
  }
  LoadTimes load_times() const override {
    return {std::chrono::microseconds(10), std::chrono::microseconds(20)};
  }
  PoolState State() const override {
    PoolState state;
    const std::lock_guard lock(world_.mutex_);
    const auto busy = world_.busy_.find(options_.revision);
    state.busy = busy == world_.busy_.end() ? 0 : busy->second;
    state.fork_server_pid = 42;
    return state;
  }

 private:
  FakeWorld& world_;
  const PoolOptions options_;
  bool draining_ = false;
};

// A handler named "broken" fails in create().
inline Replica::PoolFactory FakeWorld::Factory() {
  return [this](PoolOptions options, base::Metrics&, v1::Problem& problem) -> std::unique_ptr<WorkerPool> {
    if (options.handler == "broken") {
      problem.set_component("function");
      problem.set_reason("CreateFailed");
      problem.set_message(options.module_path + " is broken");
      return nullptr;
    }
    return std::make_unique<FakePool>(*this, std::move(options));
  };
}

}  // namespace mayfly::runtime
