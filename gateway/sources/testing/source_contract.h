// What every durable source promises (source.h), as tests that run over any of them, against its real server.
//
// A source's own test says how its server is handled (a rig), and runs the suite over it:
//
//   class NatsRig { … };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Nats, SourceContract, NatsRig);
//
// A rig is default-constructible, with its server running and its queue there and empty; its destructor ends all. It has
//   static constexpr std::chrono::milliseconds kLease;   // how long an event is left to a gateway that died; a few seconds
//   static constexpr std::chrono::milliseconds kForgets; // what a server that is killed may forget of its last settlements
//   static constexpr bool kOrdered;                      // events of one lane come in the order of their publication
//   SourceFactory& factory();
//   v1::EventTrigger Trigger();                          // of that queue, with that lease
//   void Publish(const std::string& lane, const std::string& body);   // returns once the server has it durably
//   void KillServer();                                   // kill -9
//   void StopServer();                                   // in order
//   void StartServer();                                  // on the same port and data; returns once it is of use
//   v1::EventTrigger Unwelcome();                        // with credentials that the server refuses
//   std::string refusal();                               // the server's own words for that, or some of them
//   v1::EventTrigger Absent();                           // of a queue that is not there
//   std::string absence();
//   void MakeAbsent();                                   // makes that queue
// A kind that gives a queue to one gateway at a time has besides
//   static constexpr bool kExclusive = true;
//   std::string in_use();                                // the server's own words for a second one, or some of them
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/eventually.h"
#include "gateway/sources/source_factory.h"
#include "gateway/sources/testing/recording_event_sink.h"

namespace mayfly::gateway {

// A gateway as far as one source sees it. Its end without Stop() is its death: nothing is settled.
class TestGateway {
 public:
  static constexpr std::chrono::seconds kWithin{30};

  TestGateway(SourceFactory& factory, const v1::EventTrigger& trigger, std::size_t credits = 100) {
    SourceContext context;
    context.key = {"default/f", trigger.name()};
    context.clock = &clock_;
    auto made = factory.Make(trigger, context);
    EXPECT_TRUE(made.ok()) << made.status();
    if (!made.ok()) return;
    source_ = *std::move(made);
    const absl::Status started = source_->Start(sink_);
    EXPECT_TRUE(started.ok()) << started;
    if (credits > 0) source_->Grant(credits);
  }
  ~TestGateway() {
    if (source_ == nullptr) return;
    source_->Quiesce();
    source_->Stop(std::chrono::steady_clock::now());
  }
  // As the engine does it: returns once what was settled is with the server.
  void Stop() {
    source_->Quiesce();
    source_->Stop(std::chrono::steady_clock::now() + std::chrono::seconds(10));
    source_.reset();
  }

  EventSource& source() { return *source_; }
  RecordingEventSink& sink() { return sink_; }
  // The events so far, once there are `count`.
  std::vector<SourceEvent> Await(std::size_t count) { return sink_.Await(count, kWithin); }
  // Those from number `first` on that have come.
  std::vector<SourceEvent> From(std::size_t first) {
    std::vector<SourceEvent> events = sink_.Await(0);
    events.erase(events.begin(),
                 events.begin() + static_cast<std::ptrdiff_t>(std::min(first, events.size())));
    return events;
  }
  std::size_t count() { return sink_.Await(0).size(); }
  void Settle(const SourceEvent& event, Settled how = Settled::kDone) {
    source_->Settle({{.token = event.token, .how = how, .why = {}}});
  }
  bool Healthy() const {
    const auto health = sink_.health();
    return health && health->ok();
  }
  bool AwaitHealthy() const {
    return base::Eventually([this] { return Healthy(); }, kWithin);
  }
  // Waits until it is unwell, in words that have `words` in them.
  bool AwaitComplaint(const std::string& words) const {
    return base::Eventually(
        [&] {
          const auto health = sink_.health();
          return health && !health->ok() && std::string(health->message()).find(words) != std::string::npos;
        },
        kWithin);
  }
  std::string Said() const {
    const auto health = sink_.health();
    return health ? health->ToString() : "nothing";
  }

 private:
  const base::RealClock clock_;
  RecordingEventSink sink_;
  std::unique_ptr<EventSource> source_;
};

// The first event that a gateway with `trigger` gets; settled.
inline SourceEvent FirstEvent(SourceFactory& factory, const v1::EventTrigger& trigger) {
  TestGateway gateway(factory, trigger);
  const std::vector<SourceEvent> events = gateway.Await(1);
  EXPECT_EQ(events.size(), 1u) << gateway.Said();
  if (events.empty()) return {};
  gateway.Settle(events[0]);
  gateway.Stop();
  return events[0];
}

// An attribute of its own kind; "": it has none of that name.
inline std::string AttributeOf(const SourceEvent& event, std::string_view name) {
  for (const v1::Pair& pair : event.event.attributes()) {
    if (pair.name() == name) return pair.value();
  }
  return "";
}

template <typename Rig>
concept ExclusiveRig = requires { requires Rig::kExclusive; };

template <typename Rig>
class SourceContract : public ::testing::Test {
 protected:
  std::unique_ptr<TestGateway> Start(std::size_t credits = 100) {
    auto gateway = std::make_unique<TestGateway>(rig_.factory(), rig_.Trigger(), credits);
    EXPECT_TRUE(gateway->AwaitHealthy()) << gateway->Said();
    return gateway;
  }
  void Publish(std::size_t count, const std::string& lane = "lane") {
    for (std::size_t i = 0; i < count; ++i) rig_.Publish(lane, absl::StrCat(published_++));
  }
  // Whether nothing more than `count` events come within `span`.
  static bool StaysAt(TestGateway& gateway, std::size_t count, std::chrono::milliseconds span) {
    return !base::Eventually([&] { return gateway.count() > count; }, span);
  }
  static constexpr std::chrono::milliseconds kMoment{500};

  Rig rig_;
  std::size_t published_ = 0;
};

TYPED_TEST_SUITE_P(SourceContract);

TYPED_TEST_P(SourceContract, PushesWhatIsThereAndWhatComes) {
  this->Publish(2);
  const auto gateway = this->Start();
  ASSERT_EQ(gateway->Await(2).size(), 2u);
  this->Publish(1);
  const std::vector<SourceEvent> events = gateway->Await(3);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].body, "2");
  for (const SourceEvent& event : events) {
    EXPECT_NE(event.event.id(), "");
    EXPECT_NE(event.event.source(), "");
    EXPECT_NE(event.event.type(), "");
    EXPECT_EQ(event.deliveries, 1u);
  }
}

TYPED_TEST_P(SourceContract, PushesOnlyWhatIsGranted) {
  this->Publish(20);
  const auto gateway = this->Start(5);
  ASSERT_EQ(gateway->Await(5).size(), 5u);
  EXPECT_TRUE(this->StaysAt(*gateway, 5, this->kMoment));
  for (const SourceEvent& event : gateway->Await(5)) gateway->Settle(event);
  EXPECT_TRUE(this->StaysAt(*gateway, 5, this->kMoment)) << "to settle is not to grant";
  gateway->source().Grant(7);
  EXPECT_EQ(gateway->Await(12).size(), 12u);
  EXPECT_TRUE(this->StaysAt(*gateway, 12, this->kMoment));
}

TYPED_TEST_P(SourceContract, DoesNotBringAgainWhatIsDone) {
  this->Publish(10);
  {
    const auto gateway = this->Start();
    ASSERT_EQ(gateway->Await(10).size(), 10u);
    for (const SourceEvent& event : gateway->Await(10))
      gateway->Settle(event, event.body == "0" ? Settled::kDeadLettered : Settled::kDone);
    gateway->Stop();
  }
  this->rig_.StopServer();
  this->rig_.StartServer();
  const auto gateway = this->Start();
  EXPECT_TRUE(this->StaysAt(*gateway, 0, 2 * TypeParam::kLease));
  this->Publish(1);
  ASSERT_EQ(gateway->Await(1).size(), 1u);
  EXPECT_EQ(gateway->Await(1)[0].body, "10");
}

TYPED_TEST_P(SourceContract, BringsWhatIsReleasedAgainSoon) {
  this->Publish(3);
  const auto gateway = this->Start();
  ASSERT_EQ(gateway->Await(3).size(), 3u);
  const SourceEvent released = gateway->Await(3)[1];
  gateway->Settle(released, Settled::kReleased);
  ASSERT_TRUE(base::Eventually([&] { return gateway->count() == 4; }, TypeParam::kLease / 2));
  const SourceEvent again = gateway->From(3)[0];
  EXPECT_EQ(again.body, released.body);
  EXPECT_EQ(again.event.id(), released.event.id());
  EXPECT_EQ(again.event.source(), released.event.source());
  EXPECT_NE(again.token, released.token);
}

TYPED_TEST_P(SourceContract, BringsAgainWhatADeadGatewayHad) {
  this->Publish(5);
  std::map<std::string, std::string> ids;
  {
    const auto gateway = this->Start();
    ASSERT_EQ(gateway->Await(5).size(), 5u);
    for (const SourceEvent& event : gateway->Await(5)) ids[event.body] = event.event.id();
    gateway->Settle(gateway->Await(5)[0]);
    // What is settled is sent at once; the rest is not.
    ASSERT_TRUE(base::Eventually([&] {
      const Backlog backlog = gateway->sink().backlog();
      return backlog == Backlog::Of(4);
    }));
  }
  const auto gateway = this->Start();
  ASSERT_EQ(gateway->Await(4).size(), 4u);
  EXPECT_TRUE(this->StaysAt(*gateway, 4, this->kMoment));
  std::set<std::string> bodies;
  for (const SourceEvent& event : gateway->Await(4)) {
    bodies.insert(event.body);
    EXPECT_EQ(event.event.id(), ids[event.body]) << "an event that comes again has the same id";
  }
  EXPECT_THAT(bodies, ::testing::ElementsAre("1", "2", "3", "4"));
}

TYPED_TEST_P(SourceContract, KeepsWhatIsExtended) {
  this->Publish(1);
  const auto gateway = this->Start();
  ASSERT_EQ(gateway->Await(1).size(), 1u);
  const SourceEvent event = gateway->Await(1)[0];
  TestGateway other(this->rig_.factory(), this->rig_.Trigger());
  if constexpr (ExclusiveRig<TypeParam>) {
    EXPECT_TRUE(other.AwaitComplaint(this->rig_.in_use())) << other.Said();
  } else {
    EXPECT_TRUE(other.AwaitHealthy()) << other.Said();
  }
  const auto until = std::chrono::steady_clock::now() + 3 * TypeParam::kLease;
  while (std::chrono::steady_clock::now() < until) {
    gateway->source().Extend({event.token});
    ASSERT_TRUE(this->StaysAt(other, 0, TypeParam::kLease / 4));
  }
  EXPECT_EQ(gateway->count(), 1u);
  gateway->Settle(event);
  EXPECT_TRUE(this->StaysAt(other, 0, 2 * TypeParam::kLease));
}

TYPED_TEST_P(SourceContract, PushesNothingOnceItIsQuiet) {
  const auto gateway = this->Start();
  gateway->source().Quiesce();
  this->Publish(3);
  EXPECT_TRUE(this->StaysAt(*gateway, 0, this->kMoment));
  gateway->Stop();
  const auto next = this->Start();
  EXPECT_EQ(next->Await(3).size(), 3u) << "what a quiet gateway does not take, another does";
}

TYPED_TEST_P(SourceContract, SendsWhatWasSettledBeforeItStops) {
  this->Publish(50);
  {
    const auto gateway = this->Start();
    const std::vector<SourceEvent> events = gateway->Await(50);
    ASSERT_EQ(events.size(), 50u);
    gateway->source().Quiesce();
    std::vector<Settlement> settlements;
    for (const SourceEvent& event : events) settlements.push_back({event.token, Settled::kDone, {}});
    gateway->source().Settle(settlements);
    gateway->Stop();
  }
  const auto gateway = this->Start();
  EXPECT_TRUE(this->StaysAt(*gateway, 0, 2 * TypeParam::kLease));
}

TYPED_TEST_P(SourceContract, SaysThatTheServerIsAwayAndComesBackWithIt) {
  this->Publish(1);
  const auto gateway = this->Start();
  ASSERT_EQ(gateway->Await(1).size(), 1u);
  this->rig_.StopServer();
  ASSERT_TRUE(base::Eventually([&] { return !gateway->Healthy(); }, TestGateway::kWithin)) << gateway->Said();
  EXPECT_TRUE(base::Eventually([&] { return gateway->sink().backlog().kind != Backlog::Kind::kValue; }))
      << "a server that is away has no backlog that anybody knows";
  // What is settled meanwhile is told once the server is back.
  gateway->Settle(gateway->Await(1)[0]);
  this->rig_.StartServer();
  ASSERT_TRUE(gateway->AwaitHealthy()) << gateway->Said();
  this->Publish(1);
  ASSERT_TRUE(base::Eventually([&] { return gateway->count() >= 2; }, TestGateway::kWithin));
  EXPECT_EQ(gateway->From(1)[0].body, "1");
  gateway->Settle(gateway->From(1)[0]);
  EXPECT_TRUE(this->StaysAt(*gateway, 2, 2 * TypeParam::kLease));
}

TYPED_TEST_P(SourceContract, StartsBeforeItsServerDoes) {
  this->Publish(1);
  this->rig_.StopServer();
  TestGateway gateway(this->rig_.factory(), this->rig_.Trigger());
  ASSERT_TRUE(gateway.AwaitComplaint("")) << gateway.Said();
  this->rig_.StartServer();
  ASSERT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
  EXPECT_EQ(gateway.Await(1).size(), 1u);
}

TYPED_TEST_P(SourceContract, SaysWhyItIsRefusedInTheServersWords) {
  TestGateway gateway(this->rig_.factory(), this->rig_.Unwelcome());
  EXPECT_TRUE(gateway.AwaitComplaint(this->rig_.refusal())) << gateway.Said();
  EXPECT_THAT(gateway.Said(), ::testing::Not(::testing::HasSubstr("pa55word")));
}

TYPED_TEST_P(SourceContract, SaysWhatIsNotThereAndBeginsOnceItIs) {
  TestGateway gateway(this->rig_.factory(), this->rig_.Absent());
  EXPECT_TRUE(gateway.AwaitComplaint(this->rig_.absence())) << gateway.Said();
  EXPECT_NE(gateway.sink().backlog().kind, Backlog::Kind::kValue);
  this->rig_.MakeAbsent();
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

TYPED_TEST_P(SourceContract, TellsHowManyWait) {
  const auto gateway = this->Start(1);
  ASSERT_TRUE(base::Eventually([&] { return gateway->sink().backlog() == Backlog::Of(0); }));
  this->Publish(1);
  EXPECT_TRUE(base::Eventually([&] { return gateway->sink().backlog() == Backlog::Of(1); },
                               std::chrono::milliseconds(500)))
      << "a backlog that leaves zero is told at once";
  this->Publish(9);
  EXPECT_TRUE(
      base::Eventually([&] { return gateway->sink().backlog() == Backlog::Of(10); }, TestGateway::kWithin))
      << gateway->sink().backlog().value;
  gateway->source().Grant(99);
  // All that come: on a machine that stands still for a while, the server hands one out twice.
  std::size_t settled = 0;
  EXPECT_TRUE(base::Eventually(
      [&] {
        for (const SourceEvent& event : gateway->From(settled)) {
          gateway->Settle(event);
          ++settled;
        }
        return settled >= 10 && gateway->sink().backlog() == Backlog::Of(0);
      },
      TestGateway::kWithin))
      << gateway->sink().backlog().value << " after " << settled;
}

TYPED_TEST_P(SourceContract, KeepsTheOrderOfALane) {
  if (!TypeParam::kOrdered) GTEST_SKIP() << "this kind has no order";
  for (int i = 0; i < 20; ++i) {
    this->Publish(1, "a");
    this->Publish(1, "b");
  }
  const auto gateway = this->Start();
  std::map<std::string, int> last;
  std::set<std::string> lanes;
  for (const SourceEvent& event : gateway->Await(40)) {
    const int number = std::stoi(event.body);
    const auto [at, is_new] = last.try_emplace(event.lane, number);
    EXPECT_TRUE(is_new || at->second < number) << event.lane;
    at->second = number;
    EXPECT_TRUE(lanes.insert(absl::StrCat(event.lane, number % 2)).second == is_new)
        << "a lane is of one key";
  }
  EXPECT_EQ(last.size(), 2u);
}

struct Outage {
  std::chrono::steady_clock::time_point killed;
  std::chrono::steady_clock::time_point over;
};

// What became of an event: when its last copy came, and when that was settled as done.
struct Handled {
  std::chrono::steady_clock::time_point arrived;
  std::chrono::steady_clock::time_point done;

  // Whether a copy that came at `again` is one that the rules let come: it was on its way before the first was settled; the
  // first was left for so long that its lease may have been over; or a server that was killed has forgotten of it.
  bool MayComeAgain(std::chrono::steady_clock::time_point again, const std::vector<Outage>& outages,
                    std::chrono::milliseconds lease, std::chrono::milliseconds forgets) const {
    if (again <= done || done - arrived > lease / 2) return true;
    return std::any_of(outages.begin(), outages.end(), [&](const Outage& outage) {
      return arrived <= outage.over && done >= outage.killed - forgets;
    });
  }
};

// The whole of it, over a random history.
TYPED_TEST_P(SourceContract, LosesNothingAndDoublesNothingBeyondTheRules) {
  constexpr std::size_t kEvents = 1'000;
  constexpr std::size_t kServerDeaths = 2;
  std::mt19937 random(static_cast<std::uint32_t>(::testing::UnitTest::GetInstance()->random_seed()));
  const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
  for (std::size_t i = 0; i < kEvents; ++i)
    this->rig_.Publish(absl::StrCat("lane", i % 7), absl::StrCat(this->published_++));
  std::map<std::string, std::string> ids;  // by body
  std::map<std::string, Handled> done;
  std::vector<Outage> outages;
  std::size_t again = 0;
  std::string doubled;
  auto gateway = this->Start(50);
  std::size_t seen = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(90);
  while (done.size() < kEvents && std::chrono::steady_clock::now() < deadline) {
    gateway->sink().Await(seen + 1, std::chrono::milliseconds(50));
    std::vector<Settlement> settlements;
    for (const SourceEvent& event : gateway->From(seen)) {
      const auto arrived = gateway->sink().arrival(seen++);
      const auto [id, is_new] = ids.try_emplace(event.body, event.event.id());
      ASSERT_EQ(id->second, event.event.id()) << "the id of " << event.body;
      const auto before = done.find(event.body);
      if (before != done.end()) {
        ++again;
        if (!before->second.MayComeAgain(arrived, outages, TypeParam::kLease, TypeParam::kForgets))
          absl::StrAppend(&doubled, " ", event.body);
      }
      const Settled how = before != done.end() || chance(80) ? Settled::kDone : Settled::kReleased;
      if (how == Settled::kDone) done[event.body] = {arrived, std::chrono::steady_clock::now()};
      settlements.push_back({event.token, how, {}});
    }
    if (!settlements.empty()) {
      gateway->source().Settle(settlements);
      gateway->source().Grant(settlements.size());
    }
    if (outages.size() < kServerDeaths &&
        done.size() > kEvents * (outages.size() + 1) / (kServerDeaths + 1)) {
      const auto killed = std::chrono::steady_clock::now();
      this->rig_.KillServer();
      this->rig_.StartServer();
      outages.push_back({killed, std::chrono::steady_clock::now()});
    } else if (chance(2)) {
      gateway->Stop();
      gateway = this->Start(50);
      seen = 0;
    }
  }
  EXPECT_EQ(done.size(), kEvents) << "some were lost; the seed is "
                                  << ::testing::UnitTest::GetInstance()->random_seed();
  EXPECT_EQ(ids.size(), kEvents);
  EXPECT_EQ(doubled, "") << "of " << again << " that came again";
  EXPECT_EQ(outages.size(), kServerDeaths);
}

REGISTER_TYPED_TEST_SUITE_P(SourceContract, PushesWhatIsThereAndWhatComes, PushesOnlyWhatIsGranted,
                            DoesNotBringAgainWhatIsDone, BringsWhatIsReleasedAgainSoon,
                            BringsAgainWhatADeadGatewayHad, KeepsWhatIsExtended, PushesNothingOnceItIsQuiet,
                            SendsWhatWasSettledBeforeItStops, SaysThatTheServerIsAwayAndComesBackWithIt,
                            StartsBeforeItsServerDoes, SaysWhyItIsRefusedInTheServersWords,
                            SaysWhatIsNotThereAndBeginsOnceItIs, TellsHowManyWait, KeepsTheOrderOfALane,
                            LosesNothingAndDoublesNothingBeyondTheRules);

}  // namespace mayfly::gateway
