// What every EventStore promises, as tests: each implementation's test instantiates them with a way to make one.
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, EventStoreContract, testing::Values(StoreMaker{"Sqlite", [] { … }}), StoreName);
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gateway/store/event_store.h"
#include "gateway/store/waiting.h"

namespace mayfly::gateway {

class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual EventStore& store() = 0;
  // Ends this store as a crash would, and opens another on what is left of it.
  virtual void Reopen() = 0;
  virtual void Advance(std::chrono::milliseconds by) = 0;
  // As it is configured.
  virtual std::chrono::milliseconds dedup_window() = 0;
  virtual std::chrono::milliseconds result_ttl() = 0;
};

struct StoreMaker {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
};

inline std::string StoreName(const testing::TestParamInfo<StoreMaker>& info) { return info.param.name; }

class EventStoreContract : public testing::TestWithParam<StoreMaker> {
 protected:
  void SetUp() override { test_ = GetParam().make(); }

  EventStore& store() { return test_->store(); }

  static NewEvent Event(const std::string& id, const std::string& lane = "",
                        const TriggerKey& key = {"default/orders", "queue"}) {
    NewEvent event;
    event.record = NewRecordId(1'700'000'000'000);
    event.trigger = key;
    event.event.set_id(id);
    event.event.set_source("/shop");
    event.event.set_type("order");
    event.body = "body of " + id;
    event.lane = lane;
    return event;
  }
  absl::StatusOr<Accepted> Accept(NewEvent event) {
    return WaitFor<Accepted>([&](auto done) { store().Accept(std::move(event), std::move(done)); });
  }
  LeaseBatch Lease(std::size_t most = 100, const TriggerKey& key = {"default/orders", "queue"}) {
    absl::StatusOr<LeaseBatch> batch = WaitFor<LeaseBatch>(
        [&](auto done) { store().Lease(key, most, std::size_t{1} << 20, std::move(done)); });
    EXPECT_TRUE(batch.ok()) << batch.status();
    return batch.ok() ? *std::move(batch) : LeaseBatch();
  }
  static std::vector<std::string> Ids(const LeaseBatch& batch) {
    std::vector<std::string> ids;
    for (const LeasedEvent& event : batch.events) ids.push_back(event.event.id());
    return ids;
  }
  absl::Status Finish(EventOutcome outcome) {
    return WaitFor([&](EventStore::Done done) { store().Finish({std::move(outcome)}, std::move(done)); });
  }
  absl::Status Finish(const LeasedEvent& event, EventOutcome::Kind kind,
                      std::chrono::milliseconds delay = std::chrono::milliseconds(0)) {
    EventOutcome outcome;
    outcome.record = event.record;
    outcome.kind = kind;
    outcome.delay = delay;
    outcome.attempts = event.attempts + 1;
    outcome.history = event.history;
    outcome.history.add_attempts()->set_attempt(event.attempts + 1);
    outcome.problem.set_reason("Crashed");
    outcome.problem.set_message("the handler crashed");
    return Finish(std::move(outcome));
  }
  absl::StatusOr<EventView> Find(const std::string& record) {
    return WaitFor<EventView>([&](auto done) { store().Find(record, std::move(done)); });
  }
  std::vector<DeadLetter> Dead(EventSelection selection = {}) {
    auto letters = WaitFor<std::vector<DeadLetter>>(
        [&](auto done) { store().ListDead(std::move(selection), std::move(done)); });
    EXPECT_TRUE(letters.ok()) << letters.status();
    return letters.ok() ? *std::move(letters) : std::vector<DeadLetter>();
  }
  std::size_t Pending() {
    EventSelection all;
    all.most = 1'000;
    auto views =
        WaitFor<std::vector<EventView>>([&](auto done) { store().ListPending(all, std::move(done)); });
    EXPECT_TRUE(views.ok()) << views.status();
    return views.ok() ? views->size() : 0;
  }
  TriggerCounts Counts() {
    auto counts = WaitFor<std::vector<TriggerCounts>>([&](auto done) { store().Counts(std::move(done)); });
    EXPECT_TRUE(counts.ok()) << counts.status();
    TriggerCounts sum;
    for (const TriggerCounts& of : *counts) {
      EXPECT_EQ(of.accepted, of.settled + of.dead_lettered + of.pending) << of.trigger.trigger;
      sum.accepted += of.accepted;
      sum.settled += of.settled;
      sum.dead_lettered += of.dead_lettered;
      sum.pending += of.pending;
    }
    return sum;
  }

  std::unique_ptr<StoreUnderTest> test_;
};

TEST_P(EventStoreContract, GivesWhatWasAcceptedOnceAndInOrder) {
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(Accept(Event(id)).ok());
  const LeaseBatch batch = Lease();
  EXPECT_EQ(Ids(batch), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(batch.events[0].body, "body of a");
  EXPECT_EQ(batch.events[0].event.source(), "/shop");
  EXPECT_TRUE(Ids(Lease()).empty());
}

TEST_P(EventStoreContract, LeasesAtMostWhatIsAskedFor) {
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(Accept(Event(id)).ok());
  const LeaseBatch first = Lease(2);
  EXPECT_EQ(first.events.size(), 2u);
  EXPECT_EQ(first.next_due, std::chrono::milliseconds(0));
  EXPECT_EQ(Ids(Lease(2)), (std::vector<std::string>{"c"}));
}

TEST_P(EventStoreContract, TakesAnIdOnceWithinTheWindow) {
  const absl::StatusOr<Accepted> first = Accept(Event("a"));
  const absl::StatusOr<Accepted> again = Accept(Event("a"));
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_FALSE(first->duplicate);
  EXPECT_TRUE(again->duplicate);
  EXPECT_EQ(again->record, first->record);
  // Also once it is done, and for other triggers not at all.
  ASSERT_TRUE(Finish(Lease().events.at(0), EventOutcome::Kind::kDone).ok());
  EXPECT_TRUE(Accept(Event("a"))->duplicate);
  EXPECT_FALSE(Accept(Event("a", "", {"default/orders", "other"}))->duplicate);
  test_->Advance(test_->dedup_window() + std::chrono::milliseconds(1));
  EXPECT_FALSE(Accept(Event("a"))->duplicate);
}

TEST_P(EventStoreContract, GivesAgainWhatWasLeasedBeforeACrash) {
  const std::string record = Accept(Event("a"))->record;
  ASSERT_EQ(Lease().events.size(), 1u);
  test_->Reopen();
  const LeaseBatch batch = Lease();
  ASSERT_EQ(Ids(batch), (std::vector<std::string>{"a"}));
  EXPECT_EQ(batch.events[0].record, record);
  EXPECT_TRUE(Accept(Event("a"))->duplicate);
}

TEST_P(EventStoreContract, ForgetsNothingThatIsDoneAfterACrash) {
  ASSERT_TRUE(Accept(Event("a")).ok());
  ASSERT_TRUE(Accept(Event("b")).ok());
  ASSERT_TRUE(Finish(Lease().events.at(0), EventOutcome::Kind::kDone).ok());
  test_->Reopen();
  EXPECT_EQ(Ids(Lease()), (std::vector<std::string>{"b"}));
  EXPECT_EQ(Counts().settled, 1u);
}

TEST_P(EventStoreContract, GivesARetryWhenItIsDue) {
  ASSERT_TRUE(Accept(Event("a")).ok());
  ASSERT_TRUE(Finish(Lease().events.at(0), EventOutcome::Kind::kRetry, std::chrono::seconds(5)).ok());
  const LeaseBatch early = Lease();
  EXPECT_TRUE(early.events.empty());
  ASSERT_TRUE(early.next_due.has_value());
  EXPECT_LE(*early.next_due, std::chrono::seconds(5));
  EXPECT_GT(*early.next_due, std::chrono::seconds(3));
  test_->Advance(std::chrono::seconds(6));
  const LeaseBatch due = Lease();
  ASSERT_EQ(Ids(due), (std::vector<std::string>{"a"}));
  EXPECT_EQ(due.events[0].attempts, 1u);
  EXPECT_EQ(due.events[0].history.attempts_size(), 1);
}

TEST_P(EventStoreContract, CountsNoAttemptForWhatIsReleased) {
  ASSERT_TRUE(Accept(Event("a")).ok());
  ASSERT_TRUE(Finish(Lease().events.at(0), EventOutcome::Kind::kRelease).ok());
  test_->Advance(std::chrono::milliseconds(2));
  const LeaseBatch again = Lease();
  ASSERT_EQ(Ids(again), (std::vector<std::string>{"a"}));
  EXPECT_EQ(again.events[0].attempts, 0u);
}

TEST_P(EventStoreContract, KeepsTheOrderOfALaneWhateverHappensToItsFirst) {
  for (const char* id : {"a1", "a2", "a3"}) ASSERT_TRUE(Accept(Event(id, "a")).ok());
  ASSERT_TRUE(Accept(Event("b1", "b")).ok());
  LeaseBatch batch = Lease();
  EXPECT_EQ(Ids(batch), (std::vector<std::string>{"a1", "b1"}));
  EXPECT_TRUE(Ids(Lease()).empty());
  ASSERT_TRUE(Finish(batch.events[0], EventOutcome::Kind::kRetry, std::chrono::seconds(5)).ok());
  EXPECT_TRUE(Ids(Lease()).empty());
  test_->Advance(std::chrono::seconds(6));
  batch = Lease();
  ASSERT_EQ(Ids(batch), (std::vector<std::string>{"a1"}));
  ASSERT_TRUE(Finish(batch.events[0], EventOutcome::Kind::kDeadLetter).ok());
  test_->Advance(std::chrono::milliseconds(2));
  batch = Lease();
  ASSERT_EQ(Ids(batch), (std::vector<std::string>{"a2"}));
  ASSERT_TRUE(Finish(batch.events[0], EventOutcome::Kind::kDone).ok());
  test_->Advance(std::chrono::milliseconds(2));
  EXPECT_EQ(Ids(Lease()), (std::vector<std::string>{"a3"}));
}

TEST_P(EventStoreContract, KeepsDeadLettersWithReasonAndHistoryUntilRedrivenOrPurged) {
  for (const char* id : {"a", "b"}) ASSERT_TRUE(Accept(Event(id)).ok());
  for (const LeasedEvent& event : Lease().events)
    ASSERT_TRUE(Finish(event, EventOutcome::Kind::kDeadLetter).ok());
  test_->Reopen();
  std::vector<DeadLetter> letters = Dead();
  ASSERT_EQ(letters.size(), 2u);
  EXPECT_EQ(letters[0].event.id(), "a");
  EXPECT_EQ(letters[0].problem.reason(), "Crashed");
  EXPECT_EQ(letters[0].history.attempts_size(), 1);
  EXPECT_EQ(Counts().dead_lettered, 2u);

  EventSelection first;
  first.records = {letters[0].record};
  first.most = 10;
  const auto redriven = WaitFor<std::size_t>([&](auto done) { store().Redrive(first, std::move(done)); });
  ASSERT_TRUE(redriven.ok());
  EXPECT_EQ(*redriven, 1u);
  EXPECT_EQ(Counts().pending, 1u);
  const LeaseBatch batch = Lease();
  ASSERT_EQ(Ids(batch), (std::vector<std::string>{"a"}));
  EXPECT_EQ(batch.events[0].attempts, 0u);
  ASSERT_TRUE(Finish(batch.events[0], EventOutcome::Kind::kDone).ok());

  const auto purged = WaitFor<std::size_t>([&](auto done) { store().Purge({}, std::move(done)); });
  ASSERT_TRUE(purged.ok());
  EXPECT_EQ(*purged, 1u);
  EXPECT_TRUE(Dead().empty());
  const TriggerCounts counts = Counts();
  EXPECT_EQ(counts.accepted, 2u);
  EXPECT_EQ(counts.settled, 2u);
}

TEST_P(EventStoreContract, SelectsDeadLettersByFunctionTriggerAndReason) {
  ASSERT_TRUE(Accept(Event("a", "", {"default/x", "t"})).ok());
  ASSERT_TRUE(Accept(Event("b", "", {"default/y", "t"})).ok());
  for (const char* function : {"default/x", "default/y"}) {
    for (const LeasedEvent& event : Lease(10, {function, "t"}).events)
      ASSERT_TRUE(Finish(event, EventOutcome::Kind::kDeadLetter).ok());
  }
  EventSelection selection;
  selection.function = "default/y";
  EXPECT_EQ(Dead(selection).size(), 1u);
  selection.reason = "Other";
  EXPECT_TRUE(Dead(selection).empty());
  EventSelection after;
  after.after = Dead().at(0).record;
  ASSERT_EQ(Dead(after).size(), 1u);
  EXPECT_EQ(Dead(after)[0].event.id(), "b");
}

TEST_P(EventStoreContract, TellsWhichTriggerHasEventsDueAfterARedrive) {
  std::promise<TriggerKey> told;
  store().OnDue([&, once = false](const TriggerKey& key) mutable {
    if (!std::exchange(once, true)) told.set_value(key);
  });
  DeadLetter letter;
  letter.record = NewRecordId(1);
  letter.trigger = {"default/orders", "nats"};
  letter.event.set_id("p");
  ASSERT_TRUE(WaitFor([&](EventStore::Done done) { store().Park(letter, std::move(done)); }).ok());
  ASSERT_TRUE(WaitFor<std::size_t>([&](auto done) { store().Redrive({}, std::move(done)); }).ok());
  std::future<TriggerKey> key = told.get_future();
  ASSERT_EQ(key.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(key.get(), letter.trigger);
}

TEST_P(EventStoreContract, AcceptsWhatComesNextWithTheOutcomeAndSaysThatItIsDue) {
  std::promise<TriggerKey> due;
  std::atomic<bool> told{false};
  store().OnDue([&](const TriggerKey& key) {
    if (key.function == "default/audit" && !told.exchange(true)) due.set_value(key);
  });
  ASSERT_TRUE(Accept(Event("a")).ok());
  const LeaseBatch batch = Lease();
  ASSERT_EQ(batch.events.size(), 1u);
  EventOutcome outcome;
  outcome.record = batch.events[0].record;
  outcome.attempts = 1;
  outcome.next.push_back(Event("a.1", "", {"default/audit", "_destinations"}));
  ASSERT_TRUE(Finish(outcome).ok());
  EXPECT_EQ(due.get_future().get().trigger, "_destinations");
  EXPECT_THAT(Ids(Lease(100, {"default/audit", "_destinations"})), testing::ElementsAre("a.1"));
  EXPECT_EQ(Counts().accepted, 2u);
  EXPECT_EQ(Counts().settled, 1u);
  // Once more, as after a lost answer: it is not leased any more, so that nothing comes of it.
  outcome.next[0] = Event("a.2", "", {"default/audit", "_destinations"});
  ASSERT_TRUE(Finish(outcome).ok());
  EXPECT_EQ(Counts().accepted, 2u);
  store().OnDue([](const TriggerKey&) {});
}

TEST_P(EventStoreContract, ParksADeadLetterOfASourceOnce) {
  DeadLetter letter;
  letter.record = NewRecordId(1);
  letter.trigger = {"default/orders", "nats"};
  letter.event.set_id("p");
  letter.body = "poison";
  letter.problem.set_reason("TimedOut");
  for (int n = 0; n < 2; ++n)
    ASSERT_TRUE(WaitFor([&](EventStore::Done done) { store().Park(letter, std::move(done)); }).ok());
  EventSelection whole;
  whole.with_body = true;
  const std::vector<DeadLetter> letters = Dead(whole);
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].body, "poison");
  EXPECT_EQ(Counts().accepted, 1u);
}

TEST_P(EventStoreContract, KeepsTheResultOfAnAsynchronousInvocationForAWhile) {
  NewEvent event = Event("a");
  event.keep_result = true;
  const std::string record = Accept(event)->record;
  EXPECT_EQ(Find(record)->state, EventState::kWaiting);
  EventOutcome outcome;
  outcome.record = Lease().events.at(0).record;
  EXPECT_EQ(Find(record)->state, EventState::kRunning);
  outcome.attempts = 1;
  outcome.result.emplace().set_body("42");
  ASSERT_TRUE(Finish(outcome).ok());
  test_->Reopen();
  const absl::StatusOr<EventView> view = Find(record);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->state, EventState::kDone);
  EXPECT_EQ(view->result->body(), "42");
  test_->Advance(test_->result_ttl() + std::chrono::milliseconds(1));
  EXPECT_TRUE(absl::IsNotFound(Find(record).status()));
}

TEST_P(EventStoreContract, CancelsWhatWaitsAndNotWhatRuns) {
  NewEvent event = Event("a");
  event.keep_result = true;
  const std::string waiting = Accept(event)->record;
  const auto cancel = [&](const std::string& record) {
    return WaitFor([&](EventStore::Done done) { store().Cancel(record, std::move(done)); });
  };
  EXPECT_TRUE(cancel(waiting).ok());
  EXPECT_EQ(Find(waiting)->state, EventState::kCancelled);
  EXPECT_TRUE(absl::IsNotFound(cancel(waiting)));
  const std::string running = Accept(Event("b"))->record;
  ASSERT_EQ(Lease().events.size(), 1u);
  EXPECT_TRUE(absl::IsFailedPrecondition(cancel(running)));
  EXPECT_EQ(Counts().pending, 1u);
}

TEST_P(EventStoreContract, RemembersACursorWithTheEventItBelongsTo) {
  const TriggerKey key{"default/orders", "queue"};
  const auto read = [&] {
    return *WaitFor<std::string>([&](auto done) { store().ReadCursor(key, std::move(done)); });
  };
  EXPECT_EQ(read(), "");
  NewEvent event = Event("a");
  event.cursor = "2026-01-01T03:00:00Z";
  ASSERT_TRUE(Accept(event).ok());
  test_->Reopen();
  EXPECT_EQ(read(), "2026-01-01T03:00:00Z");
  ASSERT_TRUE(
      WaitFor([&](EventStore::Done done) { store().SaveCursor(key, "later", std::move(done)); }).ok());
  EXPECT_EQ(read(), "later");
}

TEST_P(EventStoreContract, CountsAddUpWhateverHappens) {
  for (int n = 0; n < 50; ++n) ASSERT_TRUE(Accept(Event(std::to_string(n))).ok());
  const EventOutcome::Kind kinds[] = {EventOutcome::Kind::kDone, EventOutcome::Kind::kRetry,
                                      EventOutcome::Kind::kDeadLetter, EventOutcome::Kind::kRelease,
                                      EventOutcome::Kind::kCancelled};
  std::size_t turn = 0;
  for (const LeasedEvent& event : Lease(40).events) {
    ASSERT_TRUE(Finish(event, kinds[turn++ % std::size(kinds)]).ok());
    Counts();
  }
  test_->Reopen();
  const TriggerCounts counts = Counts();
  EXPECT_EQ(counts.accepted, 50u);
  EXPECT_EQ(counts.pending, Pending());
  EXPECT_EQ(counts.dead_lettered, Dead().size());
}

TEST_P(EventStoreContract, RefusesWhatComesAfterItStopped) {
  store().Stop(std::chrono::steady_clock::now() + std::chrono::seconds(5));
  EXPECT_TRUE(absl::IsUnavailable(Accept(Event("a")).status()));
}

}  // namespace mayfly::gateway
