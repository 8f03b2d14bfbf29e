// What the engine does with triggers that must have one owner.
#include <gmock/gmock.h>

#include "base/testing/eventually.h"
#include "gateway/delivery/delivery_engine_fixture.h"

namespace mayfly::gateway {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class EngineLeasesTest : public DeliveryWorld {
 protected:
  EngineLeasesTest() {
    queue_.on_settled = [this](const std::string& id, Settled how) { settled_.emplace_back(id, how); };
    MakeEngine();
    Tell();
  }
  void Tell() {
    engine_->OnLeases("a", "i", [this](const LeaseKeeper::News& news) { told_ = news; });
    engine_->OnTriggers([this](const std::vector<v1::TriggerReport>& reports) {
      for (const v1::TriggerReport& report : reports) reports_[report.trigger()] = report;
    });
  }

  // The function's route with "queue" leased to `owner`; and a term, if `answered`.
  void Route(std::uint64_t epoch, const std::string& owner, bool answered = true,
             const std::string& cursor = "") {
    v1::RouteUpdate update;
    update.set_epoch(1);
    update.set_version(++version_);
    if (answered) Answer(&update);
    *update.add_upsert() = DeliveryWorld::Route({"queue"});
    v1::EventTrigger& trigger = *update.mutable_upsert(0)->mutable_triggers(0);
    trigger.set_epoch(epoch);
    trigger.set_cursor(cursor);
    trigger.set_owner(owner);
    trigger.set_owner_instance(owner.empty() ? "" : "i");
    engine_->Apply(update);
    Settle();
  }
  void Answer(v1::RouteUpdate* update) {
    update->mutable_lease()->set_probe(told_ ? told_->probe : 0);
    update->mutable_lease()->set_valid_ms(2'900);
  }
  void Renew() {
    v1::RouteUpdate update;
    update.set_epoch(1);
    Answer(&update);
    engine_->Apply(update);
    Settle();
  }
  // Has "queue", and an event of it that runs.
  void Own(std::uint64_t epoch) {
    Route(epoch, "", false);
    Route(epoch, "a");
    queue_.Publish({"e", "", ""});
    Settle();
    ASSERT_EQ(dispatcher_.calls.size(), 1u);
  }
  // The result of what runs lies ready, and the engine may still cancel the call.
  void AnswerUnseen() {
    v1::ResponsePart part;
    part.mutable_head()->set_status(200);
    part.mutable_result()->set_outcome(v1::OUTCOME_OK);
    dispatcher_.calls.front().sink->OnPart(std::move(part));
  }
  // Sources end on a thread of their own.
  bool Comes(const std::function<bool()>& what) {
    return base::Eventually([&] {
      Settle();
      return what();
    });
  }
  std::vector<std::uint64_t> Held() const {
    std::vector<std::uint64_t> epochs;
    if (told_) {
      for (const v1::HeldLease& lease : told_->held.leases()) epochs.push_back(lease.epoch());
    }
    return epochs;
  }

  std::uint64_t version_ = 0;
  std::optional<LeaseKeeper::News> told_;
  std::map<std::string, v1::TriggerReport> reports_;
  std::vector<std::pair<std::string, Settled>> settled_;
};

TEST_F(EngineLeasesTest, BeginsATriggerThatIsItsOwnAndNoOther) {
  Route(5, "b");
  EXPECT_FALSE(queue_.attached());
  ASSERT_TRUE(told_) << "it asks as soon as there is a leased trigger";
  Route(5, "b");
  EXPECT_FALSE(queue_.attached());
  Route(6, "a");
  EXPECT_TRUE(queue_.attached());
  EXPECT_THAT(Held(), ElementsAre(6));
  EXPECT_EQ(reports_["queue"].epoch(), 6u);
}

TEST_F(EngineLeasesTest, BeginsWhatNobodyLeasesAtOnce) {
  Route(0, "", false);
  EXPECT_TRUE(queue_.attached());
  EXPECT_FALSE(told_);
}

TEST_F(EngineLeasesTest, LetsGoOfWhatIsTakenBackOnceWhatRunsHasItsOutcome) {
  Own(5);
  Route(5, "");
  EXPECT_THAT(Held(), ElementsAre(5)) << "it still runs";
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  EXPECT_TRUE(Comes([&] { return Held().empty(); })) << "the janitor has ended the source";
  EXPECT_THAT(settled_, ElementsAre(Pair("e", Settled::kDone)));
  EXPECT_TRUE(reports_["queue"].gone());
}

TEST_F(EngineLeasesTest, RefusesTheLateResultOfATriggerThatIsAnothersNow) {
  Own(5);
  Route(6, "b");
  EXPECT_THAT(Held(), IsEmpty());
  EXPECT_TRUE(dispatcher_.calls.front().cancelled);
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  EXPECT_THAT(settled_, ElementsAre(Pair("e", Settled::kReleased)));
}

TEST_F(EngineLeasesTest, EndsATriggerWithItsTermBeforeItLooksAtResults) {
  Own(5);
  // The whole process stood still: the result and the end of the term come together.
  clock_.Advance(seconds(10));
  AnswerUnseen();
  Settle();
  EXPECT_THAT(settled_, ElementsAre(Pair("e", Settled::kReleased)));
  EXPECT_THAT(Held(), IsEmpty());
  // Nor does it begin again by the epoch that is over.
  Renew();
  Route(5, "a");
  ASSERT_TRUE(Comes([&] { return !queue_.attached(); }));
  Route(7, "a");
  EXPECT_TRUE(Comes([&] { return queue_.attached(); }));
}

TEST_F(EngineLeasesTest, GoesOnWithATriggerWhoseServerRefusesOldOwnersWhileNoOperatorIsThere) {
  queue_.fenced = true;
  Own(5);
  for (int second = 0; second < 60; ++second) Pass(seconds(1));
  EXPECT_TRUE(queue_.attached());
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  EXPECT_THAT(settled_, ElementsAre(Pair("e", Settled::kDone)));
  EXPECT_THAT(Held(), ElementsAre(5));
}

TEST_F(EngineLeasesTest, LosesEvenThatWhenItStoodStillBeyondItsTerm) {
  queue_.fenced = true;
  Own(5);
  clock_.Advance(seconds(10));
  AnswerUnseen();
  Settle();
  EXPECT_THAT(settled_, ElementsAre(Pair("e", Settled::kReleased)));
  EXPECT_THAT(Held(), IsEmpty());
}

TEST_F(EngineLeasesTest, KeepsATriggerWhileItsTermIsRenewed) {
  Own(5);
  for (int second = 0; second < 20; ++second) {
    Pass(seconds(1));
    Renew();
    ASSERT_TRUE(queue_.attached());
  }
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  Settle();
  EXPECT_THAT(settled_, ElementsAre(Pair("e", Settled::kDone)));
}

TEST_F(EngineLeasesTest, HandsTheSourcesPlaceOnThroughTheOperatorWhereThereIsNoStore) {
  StopEngine();
  MakeEngine(1, false);
  Tell();
  queue_.cursor = "12:00";
  Own(5);
  EXPECT_EQ(reports_["queue"].cursor(), "12:00");
  EXPECT_EQ(reports_["queue"].epoch(), 5u);
  Route(6, "b");
  ASSERT_TRUE(Comes([&] { return !queue_.attached(); }));
  Route(7, "a", true, "12:05");
  EXPECT_TRUE(Comes([&] { return queue_.attached(); }));
  EXPECT_EQ(queue_.began_at, "12:05");
}

TEST_F(EngineLeasesTest, AsksForNoMoreWhenItEnds) {
  Own(5);
  dispatcher_.Answer(dispatcher_.calls.begin(), 200);
  engine_->Stop(std::chrono::steady_clock::now() + seconds(5));
  ASSERT_TRUE(told_);
  EXPECT_EQ(told_->probe, 0u);
  EXPECT_THAT(Held(), IsEmpty());
  EXPECT_THAT(settled_, ElementsAre(Pair("e", Settled::kDone)));
}

}  // namespace
}  // namespace mayfly::gateway
