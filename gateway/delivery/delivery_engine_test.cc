#include "gateway/delivery/delivery_engine.h"

#include "gateway/delivery/delivery_engine_fixture.h"

namespace mayfly::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

class DeliveryEngineTest : public DeliveryWorld {
 protected:
  DeliveryEngineTest() {
    queue_.on_settled = [this](const std::string& id, Settled how) { settled_.emplace_back(id, how); };
    MakeEngine();
  }
  std::vector<std::string> InFlight() const {
    std::vector<std::string> ids;
    for (const auto& call : dispatcher_.calls) ids.push_back(call.start.event().id());
    return ids;
  }

  std::vector<std::pair<std::string, Settled>> settled_;
};

TEST_F(DeliveryEngineTest, SettlesAfterTheOutcomeAndNotBefore) {
  Apply(Route({"queue"}));
  queue_.Publish({"a", "", "body"});
  Settle();
  ASSERT_THAT(InFlight(), ElementsAre("a"));
  EXPECT_EQ(dispatcher_.calls.front().body, "body");
  EXPECT_EQ(dispatcher_.calls.front().start.event().source(), "/fake");
  EXPECT_TRUE(settled_.empty());
  dispatcher_.Answer(dispatcher_.calls.begin(), 204);
  Settle();
  EXPECT_THAT(settled_, ElementsAre(std::pair("a", Settled::kDone)));
  EXPECT_EQ(Sums()["queue"].settled, 1u);
}

TEST_F(DeliveryEngineTest, KnowsFromTheStartWhatTheStoreHasFromBefore) {
  Apply(Route({}));
  NewEvent event;
  event.record = NewRecordId(1);
  event.trigger = {"default/f", kAsyncTrigger};
  event.event.set_id("a");
  engine_->Accept(std::move(event), [](const absl::StatusOr<Accepted>&) {});
  Settle();
  ASSERT_EQ(dispatcher_.calls.size(), 1u);
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  StopEngine();
  MakeEngine();
  Settle();
  EXPECT_EQ(Sums()[kAsyncTrigger].settled, 1u);
}

TEST_F(DeliveryEngineTest, TellsWhatRunsFromWhatWaitsHereForABatch) {
  v1::FunctionRoute route = Route({"hook"});
  route.mutable_triggers(0)->mutable_batch()->set_max_events(2);
  route.mutable_triggers(0)->mutable_batch()->set_window_ms(60'000);
  Apply(route);
  const auto running = [&] {
    std::set<std::string> records;
    engine_->Running([&](std::set<std::string> of) { records = std::move(of); });
    Settle();
    return records.size();
  };
  hook_.Publish({"a", "", ""});
  Settle();
  const auto leased = [&] {
    const auto views = WaitFor<std::vector<EventView>>(
        [&](auto done) { sqlite_->ListPending(EventSelection(), std::move(done)); });
    return !views.ok() || views->empty() ? EventState::kDone : views->front().state;
  };
  EXPECT_EQ(leased(), EventState::kRunning) << "as far as the store knows";
  EXPECT_EQ(running(), 0u);
  hook_.Publish({"b", "", ""});
  Settle();
  Pass(milliseconds(5));
  ASSERT_EQ(dispatcher_.calls.size(), 1u);
  EXPECT_EQ(running(), 2u);
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  EXPECT_EQ(running(), 0u);
}

TEST_F(DeliveryEngineTest, TriesAgainWithBackoffAndThenKeepsADeadLetter) {
  Apply(Route({"queue"}));
  queue_.Publish({"a", "", ""});
  Settle();
  for (std::uint32_t attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(dispatcher_.calls.size(), 1u) << attempt;
    EXPECT_EQ(dispatcher_.calls.front().start.attempt(), attempt);
    dispatcher_.Fail(dispatcher_.calls.begin(), v1::OUTCOME_CRASHED, "Crashed");
    Settle();
    Pass(seconds(10));
  }
  EXPECT_THAT(settled_, ElementsAre(std::pair("a", Settled::kDeadLettered)));
  const std::vector<DeadLetter> letters = Dead();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].problem.reason(), "Crashed");
  EXPECT_EQ(letters[0].history.attempts_size(), 3);
  EXPECT_EQ(Sums()["queue"].dead_lettered, 1u);
}

TEST_F(DeliveryEngineTest, GivesUpByTheTriggersOwnRetryWhereItHasOne) {
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_triggers(0)->mutable_retry()->set_max_attempts(1);
  Apply(route);
  queue_.Publish({"a", "", ""});
  Settle();
  ASSERT_EQ(dispatcher_.calls.size(), 1u);
  dispatcher_.Fail(dispatcher_.calls.begin(), v1::OUTCOME_CRASHED, "Crashed");
  Settle();
  EXPECT_THAT(settled_, ElementsAre(std::pair("a", Settled::kDeadLettered)));
}

TEST_F(DeliveryEngineTest, DeliversARedrivenDeadLetterOfADurableSource) {
  Apply(Route({"queue"}));
  queue_.Publish({"a", "", "body"});
  Settle();
  dispatcher_.Answer(dispatcher_.calls.begin(), 422, "no such order");
  Settle();
  ASSERT_EQ(Dead().size(), 1u);
  EXPECT_THAT(Dead()[0].problem.message(), HasSubstr("no such order"));
  ASSERT_TRUE(WaitFor<std::size_t>([&](auto done) { sqlite_->Redrive({}, std::move(done)); }).ok());
  Settle();
  ASSERT_THAT(InFlight(), ElementsAre("a"));
  EXPECT_EQ(dispatcher_.calls.front().body, "body");
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  const EventSums sums = Sums()["queue"];
  EXPECT_EQ(sums.accepted, 1u);
  EXPECT_EQ(sums.settled, 1u);
  EXPECT_TRUE(Dead().empty());
}

TEST_F(DeliveryEngineTest, CountsNoAttemptForWhatSurelyDidNotStart) {
  Apply(Route({"queue"}));
  queue_.Publish({"a", "", ""});
  Settle();
  for (int n = 0; n < 10; ++n) {
    ASSERT_EQ(dispatcher_.calls.size(), 1u);
    EXPECT_EQ(dispatcher_.calls.front().start.attempt(), 1u);
    dispatcher_.Fail(dispatcher_.calls.begin(), v1::OUTCOME_NOT_STARTED, std::string(kReasonHoldQueueFull));
    Settle();
    EXPECT_TRUE(dispatcher_.calls.empty()) << "it came again at once";
    Pass(seconds(6));
  }
  EXPECT_TRUE(settled_.empty());
}

TEST_F(DeliveryEngineTest, HandlesAnEventOnceThatComesAgain) {
  Apply(Route({"queue"}));
  queue_.Publish({"a", "", ""});
  Settle();
  queue_.Redeliver();
  Settle();
  EXPECT_EQ(dispatcher_.calls.size(), 1u);
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  EXPECT_EQ(settled_.size(), 2u);
  queue_.Publish({"a", "", ""});
  Settle();
  EXPECT_TRUE(dispatcher_.calls.empty());
  EXPECT_EQ(settled_.size(), 3u);
  EXPECT_EQ(Sums()["queue"].state.duplicates, 2u);
}

TEST_F(DeliveryEngineTest, CountsWhatASourceHasLostAndKeepsTheCount) {
  Apply(Route({"queue"}));
  queue_.Lose(2);
  Settle();
  EXPECT_EQ(Sums()["queue"].state.lost, 2u);
  Apply(Route({}));
  Settle();
  Apply(Route({"queue"}));
  queue_.Lose(1);
  Settle();
  EXPECT_EQ(Sums()["queue"].state.lost, 3u);
}

TEST_F(DeliveryEngineTest, DeliversALaneInOrderAndLanesBesideEachOther) {
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_triggers(0)->set_order_by("lane");
  Apply(route);
  for (const char* id : {"a1", "a2"}) queue_.Publish({id, "a", ""});
  queue_.Publish({"b1", "b", ""});
  Settle();
  EXPECT_THAT(InFlight(), ElementsAre("a1", "b1"));
  dispatcher_.Fail(dispatcher_.calls.begin(), v1::OUTCOME_FAILED, "Failed");
  Settle();
  EXPECT_THAT(InFlight(), ElementsAre("b1")) << "a2 overtook a1";
  Pass(seconds(1));
  EXPECT_THAT(InFlight(), ElementsAre("b1", "a1"));
  dispatcher_.Answer(std::prev(dispatcher_.calls.end()), 200);
  Settle();
  EXPECT_THAT(InFlight(), ElementsAre("b1", "a2"));
}

TEST_F(DeliveryEngineTest, SendsABatchWhenItIsFullOrItsWindowEnds) {
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_triggers(0)->mutable_batch()->set_max_events(3);
  route.mutable_triggers(0)->mutable_batch()->set_window_ms(500);
  Apply(route);
  for (const char* id : {"a", "b", "c", "d"}) queue_.Publish({id, "", "{\"n\":1}"});
  Settle();
  ASSERT_EQ(dispatcher_.calls.size(), 1u);
  const ManualDispatcher::Call& call = dispatcher_.calls.front();
  EXPECT_EQ(call.start.event().type(), kBatchType);
  EXPECT_EQ(call.start.event().data_content_type(), kBatchMediaType);
  EXPECT_THAT(call.body, HasSubstr(R"("id":"c","source":"/fake","type":"fake","data":{"n":1})"));
  Pass(milliseconds(499));
  EXPECT_EQ(dispatcher_.calls.size(), 1u);
  Pass(milliseconds(1));
  EXPECT_EQ(dispatcher_.calls.size(), 2u);
}

TEST_F(DeliveryEngineTest, TriesAgainOnlyTheItemsOfABatchThatFailed) {
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_triggers(0)->mutable_batch()->set_max_events(3);
  Apply(route);
  for (const char* id : {"a", "b", "c"}) queue_.Publish({id, "", ""});
  Settle();
  // What came first went first, alone; the rest together.
  while (dispatcher_.calls.size() > 1) {
    dispatcher_.Answer(dispatcher_.calls.begin(), 200);
    Settle();
  }
  const std::size_t before = settled_.size();
  dispatcher_.Answer(dispatcher_.calls.begin(), 200, R"({"failed": [{"index": 0, "message": "no"}]})");
  Settle();
  EXPECT_EQ(settled_.size(), 2u) << before;
  Pass(seconds(1));
  EXPECT_EQ(dispatcher_.calls.size(), 1u);
}

TEST_F(DeliveryEngineTest, SendsTheEventsOfABatchThatCrashedOneByOne) {
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_triggers(0)->mutable_batch()->set_max_events(3);
  route.mutable_triggers(0)->mutable_batch()->set_window_ms(1);
  Apply(route);
  for (const char* id : {"a", "b", "c"}) queue_.Publish({id, "", ""});
  Settle();
  ASSERT_EQ(dispatcher_.calls.size(), 1u);
  dispatcher_.Fail(dispatcher_.calls.begin(), v1::OUTCOME_CRASHED, "Crashed");
  Settle();
  Pass(seconds(1));
  EXPECT_EQ(dispatcher_.calls.size(), 3u);
}

TEST_F(DeliveryEngineTest, StoresWhatItsSourceDoesNotKeepBeforeItIsSettled) {
  std::vector<std::pair<std::string, Settled>> told;
  hook_.on_settled = [&](const std::string& id, Settled how) { told.emplace_back(id, how); };
  Apply(Route({"hook"}));
  hook_.Publish({"a", "", ""});
  Settle();
  EXPECT_THAT(told, ElementsAre(std::pair("a", Settled::kStored)));
  EXPECT_THAT(InFlight(), ElementsAre("a"));
  // A crash of everything: the event is in the store, and comes again.
  StopEngine();
  MakeEngine();
  Apply(Route({"hook"}));
  Pass(milliseconds(5));
  ASSERT_THAT(InFlight(), ElementsAre("a"));
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  EXPECT_EQ(Sums()["hook"].settled, 1u);
  // They look at what ends here, and the engine goes on.
  hook_.on_settled = {};
}

TEST_F(DeliveryEngineTest, StoresWhatASourceHadPushedBeforeItsTriggerWent) {
  std::vector<std::pair<std::string, Settled>> told;
  hook_.on_settled = [&](const std::string& id, Settled how) { told.emplace_back(id, how); };
  Apply(Route({"hook"}));
  v1::RouteUpdate update;
  *update.add_upsert() = Route({});
  engine_->Apply(update);
  hook_.Publish({"a", "", "body"});  // behind the update in the engine's inbox
  Settle();
  EXPECT_THAT(told, ElementsAre(std::pair("a", Settled::kStored)));
  EXPECT_EQ(Sums()["hook"].accepted, 1u);
  hook_.on_settled = nullptr;
}

TEST_F(DeliveryEngineTest, TellsASourceWhenItsEventCannotBeStored) {
  std::vector<Settled> told;
  hook_.on_settled = [&](const std::string&, Settled how) { told.push_back(how); };
  Apply(Route({"hook"}));
  int failures = 1;
  store_->fail = [&] { return failures-- > 0; };
  hook_.Publish({"a", "", ""});
  Settle();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told[0], Settled::kReleased);
  // They look at what ends here, and the engine goes on.
  hook_.on_settled = {};
  store_->fail = {};
}

TEST_F(DeliveryEngineTest, KeepsADeadLetterUnsettledUntilTheStoreHasIt) {
  Apply(Route({"queue"}));
  queue_.Publish({"a", "", ""});
  Settle();
  store_->fail = [] { return true; };
  dispatcher_.Answer(dispatcher_.calls.begin(), 400);
  Settle();
  Pass(seconds(5));
  EXPECT_TRUE(settled_.empty());
  store_->fail = {};
  Pass(seconds(2));
  EXPECT_THAT(settled_, ElementsAre(std::pair("a", Settled::kDeadLettered)));
}

TEST_F(DeliveryEngineTest, ExtendsLeasesWhileAHandlerRuns) {
  queue_.lease = seconds(30);
  Apply(Route({"queue"}));
  queue_.Publish({"a", "", ""});
  Settle();
  for (int n = 0; n < 5; ++n) Pass(seconds(10));
  EXPECT_GE(queue_.extended(), 5u);
}

TEST_F(DeliveryEngineTest, GivesASourceCreditsOnlyForWhatItHasRoomFor) {
  Apply(Route({"queue"}));
  for (int n = 0; n < 1'000; ++n) queue_.Publish({std::to_string(n), "", ""});
  Settle();
  EXPECT_LE(queue_.unsettled(), 16u);
  EXPECT_LE(dispatcher_.calls.size(), 4u);
}

TEST_F(DeliveryEngineTest, HoldsEventsOfAFunctionThatCannotServe) {
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_unavailable()->set_reason("ArtifactMissing");
  Apply(route);
  queue_.Publish({"a", "", ""});
  Settle();
  EXPECT_TRUE(dispatcher_.calls.empty());
  Apply(Route({"queue"}));
  EXPECT_THAT(InFlight(), ElementsAre("a"));
}

TEST_F(DeliveryEngineTest, GivesBackWhatHasNotStartedWhenItsTriggerGoes) {
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_triggers(0)->set_max_in_flight(1);
  Apply(route);
  for (const char* id : {"a", "b"}) queue_.Publish({id, "", ""});
  Settle();
  Apply(Route({}));
  EXPECT_THAT(settled_, ElementsAre(std::pair("b", Settled::kReleased)));
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  EXPECT_THAT(settled_, ElementsAre(std::pair("b", Settled::kReleased), std::pair("a", Settled::kDone)));
  // Made again, it goes on where it was.
  while (queue_.attached()) Settle();
  Apply(Route({"queue"}));
  EXPECT_THAT(InFlight(), ElementsAre("b"));
}

TEST_F(DeliveryEngineTest, DiscardsTheSourceOfADeletedTriggerAndOfNoOther) {
  Apply(Route({"queue", "hook"}));
  // One whose Secret is away is not deleted.
  v1::FunctionRoute withheld = Route({"hook"});
  withheld.add_withheld("queue");
  Apply(withheld);
  while (queue_.attached()) Settle();
  EXPECT_FALSE(queue_.discarded());
  EXPECT_FALSE(hook_.discarded());
  Apply(Route({"queue", "hook"}));
  Apply(Route({"hook"}));
  EXPECT_TRUE(queue_.discarded());
  EXPECT_FALSE(hook_.discarded());
  v1::RouteUpdate removed;
  removed.add_remove("default/f");
  engine_->Apply(removed);
  Settle();
  EXPECT_TRUE(hook_.discarded());
}

TEST_F(DeliveryEngineTest, DiscardsNothingWhenATriggerChanges) {
  Apply(Route({"queue"}));
  v1::FunctionRoute changed = Route({"queue"});
  changed.mutable_triggers(0)->mutable_cron()->set_time_zone("Europe/Paris");
  Apply(changed);
  EXPECT_FALSE(queue_.discarded());
}

TEST_F(DeliveryEngineTest, DiscardsNothingWhenItEndsOrAnOperatorDoesNotKnowTheFunction) {
  Apply(Route({"queue"}));
  v1::RouteUpdate nothing;
  nothing.set_snapshot(true);
  engine_->Apply(nothing);
  while (queue_.attached()) Settle();
  EXPECT_FALSE(queue_.discarded());
  Apply(Route({"queue"}));
  engine_->Stop(std::chrono::steady_clock::now());
  EXPECT_FALSE(queue_.discarded());
}

TEST_F(DeliveryEngineTest, GivesBackWhatRunsWhenTheEndHasNoTimeForIt) {
  Apply(Route({"queue"}));
  queue_.Publish({"a", "", ""});
  Settle();
  ASSERT_EQ(dispatcher_.calls.size(), 1u);
  engine_->Stop(std::chrono::steady_clock::now());
  EXPECT_TRUE(dispatcher_.calls.front().cancelled);
  EXPECT_THAT(settled_, ElementsAre(std::pair("a", Settled::kReleased)));
}

TEST_F(DeliveryEngineTest, GivesUpWhatIsTooOld) {
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_retry()->set_max_age_ms(60'000);
  route.mutable_retry()->set_max_attempts(100);
  Apply(route);
  queue_.Publish({"a", "", ""});
  Settle();
  dispatcher_.Fail(dispatcher_.calls.begin(), v1::OUTCOME_NOT_STARTED, std::string(kReasonNotReadyInTime));
  Settle();
  Pass(seconds(61));
  ASSERT_EQ(Dead().size(), 1u);
  EXPECT_EQ(Dead()[0].problem.reason(), "TooOld");
}

TEST_F(DeliveryEngineTest, StopsAnAsynchronousInvocationThatIsCancelled) {
  Apply(Route({}));
  NewEvent event;
  event.record = NewRecordId(1);
  event.trigger = {"default/f", kAsyncTrigger};
  event.event.set_id("x");
  event.keep_result = true;
  const std::string record = event.record;
  engine_->Accept(event, [](const absl::StatusOr<Accepted>&) {});
  Settle();
  ASSERT_EQ(dispatcher_.calls.size(), 1u);
  bool cancelled = false;
  engine_->Cancel(record, [&](const absl::Status& status) { cancelled = status.ok(); });
  Settle();
  EXPECT_TRUE(cancelled);
  EXPECT_TRUE(dispatcher_.calls.front().cancelled);
  dispatcher_.Fail(dispatcher_.calls.begin(), v1::OUTCOME_CANCELLED, "Cancelled");
  Settle();
  const auto view = WaitFor<EventView>([&](auto done) { sqlite_->Find(record, std::move(done)); });
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->state, EventState::kCancelled);
}

TEST_F(DeliveryEngineTest, NamesTheTriggerKindThatItDoesNotServe) {
  v1::FunctionRoute route = Route({});
  route.add_triggers()->set_name("odd");
  Apply(route);
  EXPECT_THAT(std::string(Sums()["odd"].state.health.message()), HasSubstr("no triggers of this kind"));
}

}  // namespace
}  // namespace mayfly::gateway
