// A world for tests of the delivery engine: brokers in memory, a store on disk, a function whose every invocation the
// test answers, and a clock that the test moves. The engine has no thread of its own here: Settle() runs its turns until
// nothing is left to do.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/temp_dir.h"
#include "gateway/delivery/delivery_engine.h"
#include "gateway/sources/testing/fake_source.h"
#include "gateway/store/sqlite/sqlite_event_store.h"
#include "gateway/store/testing/faulty_store.h"
#include "gateway/store/waiting.h"

namespace mayfly::gateway {

// Invocations wait until the test answers them.
class ManualDispatcher final : public Dispatcher {
 public:
  struct Call {
    v1::Start start;
    std::string body;
    std::shared_ptr<AnswerSink> sink;
    bool cancelled = false;
  };

  std::unique_ptr<Dispatched> Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) override {
    const auto call = calls.insert(
        calls.end(), Call{std::move(request.start), std::move(request.body), std::move(sink), false});
    most_at_once = std::max(most_at_once, calls.size());
    return std::make_unique<Handle>(*call);
  }

  // Answers and forgets the call.
  void Answer(std::list<Call>::iterator call, std::uint32_t status, const std::string& body = "",
              const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    v1::ResponsePart part;
    part.mutable_head()->set_status(status);
    for (const auto& [name, value] : headers) {
      v1::Pair& pair = *part.mutable_head()->add_headers();
      pair.set_name(name);
      pair.set_value(value);
    }
    part.set_data(body);
    part.mutable_result()->set_outcome(v1::OUTCOME_OK);
    End(call, std::move(part));
  }
  void Fail(std::list<Call>::iterator call, v1::Outcome outcome, const std::string& reason) {
    v1::ResponsePart part;
    part.mutable_result()->set_outcome(outcome);
    part.mutable_result()->mutable_problem()->set_reason(reason);
    part.mutable_result()->mutable_problem()->set_message("as the test wants it");
    End(call, std::move(part));
  }

  std::list<Call> calls;
  std::size_t most_at_once = 0;

 private:
  class Handle final : public Dispatched {
   public:
    explicit Handle(Call& call) : call_(call) {}
    void Write(std::string, bool) override {}
    void Grant(std::uint64_t) override {}
    void Cancel() override { call_.cancelled = true; }

   private:
    Call& call_;  // not touched once it has its result
  };

  void End(std::list<Call>::iterator call, v1::ResponsePart part) {
    const std::shared_ptr<AnswerSink> sink = call->sink;
    calls.erase(call);
    sink->OnPart(std::move(part));
  }
};

class DeliveryWorld : public testing::Test {
 protected:
  DeliveryWorld() {
    SqliteStoreOptions options;
    options.path = folder_ / "events.db";
    options.reserve_bytes = 0;
    auto opened = SqliteEventStore::Open(options, clock_);
    if (!opened.ok()) throw std::runtime_error(opened.status().ToString());
    sqlite_ = *std::move(opened);
    store_ = std::make_unique<FaultyStore>(*sqlite_);
    hook_.durable = false;
  }
  // Before what a test has of its own is gone: brokers tell it of settlements.
  void TearDown() override {
    if (engine_) StopEngine();
  }

  void MakeEngine(std::uint64_t seed = 1, bool keeps_events = true) {
    DeliveryOptions options;
    options.seed = seed;
    SourceFactories factories;
    factories.push_back(std::make_unique<FakeSourceFactory>(
        std::map<std::string, FakeBroker*>{{"queue", &queue_}, {"hook", &hook_}}));
    engine_ = std::make_unique<DeliveryEngine>(options, dispatcher_, keeps_events ? store_.get() : nullptr,
                                               std::move(factories), clock_, metrics_);
    engine_->UseUrls(urls_);
  }
  void StopEngine() {
    engine_->Stop(std::chrono::steady_clock::now());
    engine_.reset();
    urls_.calls.clear();
    dispatcher_.calls.clear();
  }

  static v1::FunctionRoute Route(const std::vector<std::string>& triggers) {
    v1::FunctionRoute route;
    route.set_function("default/f");
    route.set_concurrency(4);
    route.mutable_retry()->set_max_attempts(3);
    route.mutable_retry()->set_min_backoff_ms(100);
    route.mutable_retry()->set_max_backoff_ms(10'000);
    for (const std::string& name : triggers) {
      v1::EventTrigger& trigger = *route.add_triggers();
      trigger.set_name(name);
      trigger.mutable_cron()->set_schedule("* * * * *");
    }
    return route;
  }
  void Apply(const v1::FunctionRoute& route) {
    v1::RouteUpdate update;
    *update.add_upsert() = route;
    engine_->Apply(update);
    Settle();
  }

  // Runs turns until neither the engine nor the store has anything to do at this instant.
  void Settle() {
    for (int round = 0; round < 1'000; ++round) {
      engine_->Turn();
      // The store answers in order: what was asked before has been answered; and, by the second, what came of it is told.
      (void)WaitFor<std::vector<TriggerCounts>>([&](auto done) { sqlite_->Counts(std::move(done)); });
      (void)WaitFor<std::vector<TriggerCounts>>([&](auto done) { sqlite_->Counts(std::move(done)); });
      if (!engine_->HasTasks()) {
        const auto next = engine_->Turn();
        if (!engine_->HasTasks() && (!next || *next > clock_.Now())) return;
      }
    }
    FAIL() << "the engine does not come to rest";
  }
  void Pass(std::chrono::milliseconds time) {
    clock_.Advance(time);
    Settle();
  }
  // The sums as they are now: they are made once a second.
  std::map<std::string, EventSums> Sums() {
    Pass(std::chrono::milliseconds(1'001));
    std::map<std::string, EventSums> sums;
    for (const EventSums& of : engine_->Sums()) {
      EXPECT_EQ(of.accepted, of.settled + of.dead_lettered + of.pending) << of.state.key.trigger;
      sums[of.state.key.trigger] = of;
    }
    return sums;
  }
  std::vector<DeadLetter> Dead() {
    EventSelection all;
    all.most = 1'000;
    auto letters =
        WaitFor<std::vector<DeadLetter>>([&](auto done) { sqlite_->ListDead(all, std::move(done)); });
    return letters.ok() ? *std::move(letters) : std::vector<DeadLetter>();
  }

  base::TempDir folder_;
  base::FakeClock clock_;
  base::Metrics metrics_;
  FakeBroker queue_;
  FakeBroker hook_;
  ManualDispatcher dispatcher_;
  ManualDispatcher urls_;  // for results that go to URLs
  std::unique_ptr<SqliteEventStore> sqlite_;
  std::unique_ptr<FaultyStore> store_;
  std::unique_ptr<DeliveryEngine> engine_;
};

}  // namespace mayfly::gateway
