// Whatever happens, in whatever order: nothing is lost, nothing settled before its outcome, lanes keep their order, the
// sum holds, and memory is bounded.
#include <algorithm>

#include "gateway/delivery/delivery_engine_fixture.h"

namespace mayfly::gateway {
namespace {

using std::chrono::milliseconds;

class DeliveryPropertyTest : public DeliveryWorld {
 protected:
  // One life of a world, from `seed`.
  void Live(std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_.seed(seed);
    // Ids are of this life alone: the store is the same for all.
    prefix_ = std::to_string(seed) + "-";
    handled_.clear();
    settled_.clear();
    published_.clear();
    lane_of_.clear();
    queue_.on_settled = [this](const std::string& id, Settled how) {
      if (how == Settled::kReleased) return;
      if (how == Settled::kDone) {
        EXPECT_TRUE(handled_.contains(id)) << id << " was settled before it was handled";
      } else {
        EXPECT_TRUE(IsDead(id)) << id << " was settled before its dead letter was kept";
      }
      settled_.insert(id);
    };
    hook_.on_settled = [this](const std::string& id, Settled how) {
      if (how == Settled::kStored) stored_.insert(id);
    };
    route_ = Route({"queue", "hook"});
    route_.mutable_triggers(0)->set_order_by("lane");
    if (Chance(2)) route_.mutable_triggers(0)->mutable_batch()->set_max_events(4);
    queue_.lease = milliseconds(Chance(2) ? 3'000 : 0);
    MakeEngine(seed);
    Apply(route_);
    for (int step = 0; step < 120; ++step) Step();
    // The faults end, and every handler succeeds.
    store_->fail = {};
    Apply(route_);
    for (int round = 0; round < 1'000 && !Finished(); ++round) {
      while (!dispatcher_.calls.empty()) {
        AnswerWell(dispatcher_.calls.begin());
        Settle();
      }
      Pass(milliseconds(2'000));
    }
    EXPECT_TRUE(Finished());
    for (const std::string& id : published_) EXPECT_TRUE(settled_.contains(id)) << id << " is lost";
    std::uint64_t pending = 0;
    for (const auto& [name, sums] : Sums()) pending += sums.pending;
    EXPECT_EQ(pending, 0u);
    for (const std::string& id : stored_) {
      EXPECT_TRUE(!id.starts_with(prefix_) || handled_.contains(id) || IsDead(id))
          << id << " was stored and is lost";
    }
    StopEngine();
  }

 private:
  bool Chance(unsigned of) { return random_() % of == 0; }
  bool IsDead(const std::string& id) {
    for (const DeadLetter& letter : Dead()) {
      if (letter.event.id() == id) return true;
    }
    return false;
  }
  bool Finished() {
    const auto pending =
        WaitFor<std::vector<EventView>>([&](auto done) { sqlite_->ListPending({}, std::move(done)); });
    return queue_.waiting() == 0 && queue_.unsettled() == 0 && dispatcher_.calls.empty() && pending.ok() &&
           pending->empty();
  }

  void Step() {
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2: {
        const int lane = static_cast<int>(random_() % 4);
        const std::string id = prefix_ + std::to_string(next_++);
        published_.insert(id);
        lane_of_[id] = lane == 0 ? "" : std::to_string(lane);
        queue_.Publish({id, lane_of_[id], id});
        break;
      }
      case 3:
        hook_.Publish({prefix_ + "hook" + std::to_string(next_++), "", ""});
        break;
      case 4:
      case 5:
      case 6:
      case 7:
        if (!dispatcher_.calls.empty()) AnswerSomehow();
        break;
      case 8:
        Pass(milliseconds(random_() % 3'000));
        break;
      case 9:
        if (Chance(2)) {
          store_->fail = [this] { return Chance(3); };
        } else {
          store_->fail = {};
        }
        break;
      case 10:
        queue_.Redeliver();
        break;
      case 11:
        if (Chance(4)) {
          queue_.Revoke();
        } else if (Chance(4)) {
          v1::FunctionRoute route = route_;
          if (Chance(2)) route.mutable_unavailable()->set_reason("ArtifactMissing");
          Apply(route);
        }
        break;
    }
    Settle();
    Look();
  }

  // What holds after every step.
  void Look() {
    EXPECT_LE(dispatcher_.calls.size(), 4u);
    EXPECT_LE(queue_.unsettled(), 64u);
    std::map<std::string, int> lanes;
    for (const auto& call : dispatcher_.calls) {
      for (const std::string& lane : LanesOf(call))
        EXPECT_LE(++lanes[lane], 1) << "lane " << lane << " runs twice";
    }
    for (const EventSums& of : engine_->Sums())
      EXPECT_EQ(of.accepted, of.settled + of.dead_lettered + of.pending);
  }
  std::vector<std::string> IdsOf(const ManualDispatcher::Call& call) {
    if (call.start.event().type() != kBatchType) return {call.start.event().id()};
    std::vector<std::string> ids;
    const std::string mark = R"("id":")";
    for (std::size_t at = call.body.find(mark); at != std::string::npos; at = call.body.find(mark, at + 1)) {
      const std::size_t begin = at + mark.size();
      ids.push_back(call.body.substr(begin, call.body.find('"', begin) - begin));
    }
    return ids;
  }
  // Each once: a batch may have several of one lane.
  std::set<std::string> LanesOf(const ManualDispatcher::Call& call) {
    std::set<std::string> lanes;
    for (const std::string& id : IdsOf(call)) {
      const auto lane = lane_of_.find(id);
      if (lane != lane_of_.end() && !lane->second.empty()) lanes.insert(lane->second);
    }
    return lanes;
  }

  void AnswerWell(std::list<ManualDispatcher::Call>::iterator call) {
    for (const std::string& id : IdsOf(*call)) handled_.insert(id);
    dispatcher_.Answer(call, 200);
  }
  void AnswerSomehow() {
    auto call = dispatcher_.calls.begin();
    std::advance(call, random_() % dispatcher_.calls.size());
    switch (random_() % 8) {
      case 0:
        dispatcher_.Fail(call, v1::OUTCOME_CRASHED, "Crashed");
        return;
      case 1:
        dispatcher_.Fail(call, v1::OUTCOME_NOT_STARTED, std::string(kReasonHoldQueueFull));
        return;
      case 2:
        dispatcher_.Answer(call, 422);
        return;
      case 3:
        dispatcher_.Answer(call, 503);
        return;
      case 4: {
        const std::vector<std::string> ids = IdsOf(*call);
        if (call->start.event().type() != kBatchType) break;
        const std::size_t failed = random_() % ids.size();
        for (std::size_t i = 0; i < ids.size(); ++i) {
          if (i != failed) handled_.insert(ids[i]);
        }
        dispatcher_.Answer(call, 200, R"({"failed":[{"index":)" + std::to_string(failed) + "}]}");
        return;
      }
      default:
        break;
    }
    AnswerWell(call);
  }

  std::mt19937_64 random_;
  std::string prefix_;
  int next_ = 0;
  v1::FunctionRoute route_;
  // Ids of events.
  std::set<std::string> published_;
  std::set<std::string> handled_;
  std::set<std::string> settled_;
  std::set<std::string> stored_;
  std::map<std::string, std::string> lane_of_;
};

TEST_F(DeliveryPropertyTest, LosesNothingAndSettlesNothingEarly) {
  for (std::uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) Live(seed);
}

// Of one lane, what is handled for the first time comes in the order in which it was published.
TEST_F(DeliveryWorld, KeepsTheOrderOfLanesThroughFailures) {
  std::mt19937_64 random(7);
  MakeEngine();
  v1::FunctionRoute route = Route({"queue"});
  route.mutable_triggers(0)->set_order_by("lane");
  route.mutable_retry()->set_max_attempts(100);
  Apply(route);
  for (int n = 0; n < 60; ++n) queue_.Publish({std::to_string(1'000 + n), std::to_string(n % 3), ""});
  Settle();
  std::map<int, std::vector<int>> handled;
  for (int step = 0; step < 10'000 && queue_.waiting() + queue_.unsettled() > 0; ++step) {
    if (dispatcher_.calls.empty()) {
      Pass(std::chrono::seconds(1));
      continue;
    }
    auto call = dispatcher_.calls.begin();
    std::advance(call, random() % dispatcher_.calls.size());
    const int number = std::stoi(call->start.event().id()) - 1'000;
    if (random() % 3 == 0) {
      dispatcher_.Fail(call, v1::OUTCOME_FAILED, "Failed");
    } else {
      handled[number % 3].push_back(number);
      dispatcher_.Answer(call, 200);
    }
    Settle();
  }
  for (const auto& [lane, numbers] : handled) {
    EXPECT_EQ(numbers.size(), 20u);
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end())) << "lane " << lane;
  }
}

}  // namespace
}  // namespace mayfly::gateway
