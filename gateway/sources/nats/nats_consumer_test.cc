// What a real server cannot be made to do, or not at will: see nats_source_test.cc for the rest.
#include "gateway/sources/nats/nats_consumer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/sources/testing/recording_event_sink.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Json = nlohmann::json;

constexpr char kInfo[] =
    R"({"config":{"ack_policy":"explicit","ack_wait":30000000000,"metadata":{"mayfly.dev/managed":"true"}},"num_pending":0})";

class FakeWire final : public NatsWire {
 public:
  struct Sent {
    std::string subject;
    std::string reply;
    std::string data;
  };

  absl::Status Publish(const std::string& subject, const std::string& reply, std::string_view data) override {
    sent.push_back({subject, reply, std::string(data)});
    return absl::OkStatus();
  }
  absl::StatusOr<std::uint64_t> Subscribe(const std::string& subject) override {
    inboxes.push_back(subject);
    return inboxes.size();
  }
  void Unsubscribe(std::uint64_t subscription) override { unsubscribed.push_back(subscription); }
  void Drain(std::uint64_t subscription) override { drained.push_back(subscription); }
  absl::Status Flush(std::chrono::milliseconds) override { return absl::OkStatus(); }

  // What was asked for: the batch of each pull.
  std::vector<int> Pulls() const {
    std::vector<int> batches;
    for (const Sent& each : sent) {
      if (each.subject == "$JS.API.CONSUMER.MSG.NEXT.S.c") batches.push_back(Json::parse(each.data)["batch"]);
    }
    return batches;
  }
  std::vector<std::string> To(const std::string& subject) const {
    std::vector<std::string> data;
    for (const Sent& each : sent) {
      if (each.subject == subject) data.push_back(each.data);
    }
    return data;
  }

  std::vector<Sent> sent;
  std::vector<std::string> inboxes;
  std::vector<std::uint64_t> unsubscribed;
  std::vector<std::uint64_t> drained;
};

std::unique_ptr<NatsMessage> Message(const std::string& subject, const std::string& reply,
                                     const std::string& data,
                                     const std::vector<std::pair<std::string, std::string>>& headers = {}) {
  natsMsg* message = nullptr;
  EXPECT_EQ(natsMsg_Create(&message, subject.c_str(), reply.empty() ? nullptr : reply.c_str(), data.data(),
                           static_cast<int>(data.size())),
            NATS_OK);
  for (const auto& [name, value] : headers)
    EXPECT_EQ(natsMsgHeader_Set(message, name.c_str(), value.c_str()), NATS_OK);
  return std::make_unique<NatsMessage>(message);
}

std::string AckOf(int sequence, int pending = 0) {
  return absl::StrCat("$JS.ACK.S.c.1.", sequence, ".", sequence, ".1700000000000000000.", pending);
}

class NatsConsumerTest : public ::testing::Test {
 protected:
  NatsConsumerTest() : consumer_(Settings(), [] {}) {
    EXPECT_EQ(nats_Open(-1), NATS_OK);  // messages are made without a connection here
    consumer_.Attach(&sink_);
  }

  static NatsSettings Settings() {
    NatsSettings settings;
    settings.api = "$JS.API";
    settings.stream = "S";
    settings.consumer = "c";
    settings.inbox_prefix = "_INBOX";
    return settings;
  }
  void Turn() {
    std::optional<base::MonotonicTime> next;
    consumer_.TurnIfDue(now_, next);
    next_ = next;
  }
  // Connected, and the consumer is there.
  void Begin(std::size_t credits) {
    consumer_.Grant(credits);
    consumer_.OnConnected(&wire_, now_);
    Turn();
    Answer(kInfo);
  }
  // Answers the request that was made last.
  void Answer(const std::string& data) {
    for (auto each = wire_.sent.rbegin(); each != wire_.sent.rend(); ++each) {
      if (each->reply.empty() || each->subject.find("MSG.NEXT") != std::string::npos) continue;
      consumer_.OnMessage(Message(each->reply, "", data), now_);
      break;
    }
    Turn();
  }
  void Deliver(int sequence, int pending = 0) {
    consumer_.OnMessage(Message("s.x", AckOf(sequence, pending), absl::StrCat(sequence)), now_);
    Turn();
  }
  void Say(const std::string& code, const std::string& description, int left) {
    consumer_.OnMessage(
        Message(
            "_INBOX.p", "", "",
            {{"Status", code}, {"Description", description}, {"Nats-Pending-Messages", absl::StrCat(left)}}),
        now_);
    Turn();
  }

  base::MonotonicTime now_{1000s};
  FakeWire wire_;
  RecordingEventSink sink_;
  NatsConsumer consumer_;
  std::optional<base::MonotonicTime> next_;
};

TEST_F(NatsConsumerTest, AsksForMoreWhenLessIsOnItsWayThanCouldBe) {
  Begin(100);
  EXPECT_THAT(wire_.Pulls(), ElementsAre(100));
  consumer_.Grant(60);
  Turn();
  EXPECT_THAT(wire_.Pulls(), ElementsAre(100)) << "100 are on their way";
  consumer_.Grant(60);
  Turn();
  EXPECT_THAT(wire_.Pulls(), ElementsAre(100, 120));
}

TEST_F(NatsConsumerTest, TakesAPullThatIsNotHeardOfForLost) {
  Begin(10);
  for (int beats = 0; beats < 4; ++beats) {
    now_ += 15s;
    Say("100", "Idle Heartbeat", 0);
  }
  EXPECT_THAT(wire_.Pulls(), ElementsAre(10)) << "it lives";
  now_ += 31s;
  Turn();
  EXPECT_THAT(wire_.Pulls(), ElementsAre(10, 10));
  EXPECT_THAT(wire_.unsubscribed, ElementsAre(1u)) << "what the first still brings was not granted";
  EXPECT_NE(wire_.inboxes[0], wire_.inboxes[1]);
}

TEST_F(NatsConsumerTest, AsksAgainForWhatAPullDidNotBring) {
  Begin(10);
  Deliver(1);
  Say("408", "Request Timeout", 9);
  EXPECT_THAT(wire_.Pulls(), ElementsAre(10, 9));
  Say("409", "Leadership Change", 9);
  EXPECT_THAT(wire_.Pulls(), ElementsAre(10, 9)) << "not at once";
  now_ += 1s;
  Turn();
  EXPECT_THAT(wire_.Pulls(), ElementsAre(10, 9, 9));
}

TEST_F(NatsConsumerTest, AsksForMoreAtOnceWhenAPullHasBroughtAll) {
  Begin(1);
  Deliver(1);
  consumer_.Grant(1);
  Say("409", "Batch Completed", 0);
  EXPECT_THAT(wire_.Pulls(), ElementsAre(1, 1));
}

TEST_F(NatsConsumerTest, GivesBackWhatWasNotGranted) {
  Begin(1);
  Deliver(1);
  Deliver(2);
  EXPECT_EQ(sink_.Await(0).size(), 1u);
  EXPECT_THAT(wire_.To(AckOf(2)), ElementsAre("-NAK"));
}

TEST_F(NatsConsumerTest, AcknowledgesOverTheNextConnectionWhatWasSettledWithoutOne) {
  Begin(10);
  Deliver(1);
  consumer_.OnDisconnected(absl::UnavailableError("away"));
  EXPECT_EQ(sink_.backlog(), Backlog::Unknown());
  consumer_.Settle({{.token = sink_.Await(1)[0].token, .how = Settled::kDone, .why = {}}});
  Turn();
  EXPECT_THAT(wire_.To(AckOf(1)), IsEmpty());
  consumer_.OnConnected(&wire_, now_);
  Turn();
  EXPECT_THAT(wire_.To(AckOf(1)), ElementsAre("+ACK"));
}

TEST_F(NatsConsumerTest, SaysThatItIsStillAtWork) {
  Begin(10);
  Deliver(1);
  consumer_.Extend({sink_.Await(1)[0].token});
  Turn();
  EXPECT_THAT(wire_.To(AckOf(1)), ElementsAre("+WPI"));
}

TEST_F(NatsConsumerTest, LooksForAConsumerThatWasDeletedAndMakesItFromWhereItWas) {
  Begin(10);
  Deliver(7);
  Say("409", "Consumer Deleted", 9);
  Answer(R"({"error":{"code":404,"err_code":10014,"description":"consumer not found"}})");
  const std::vector<std::string> made = wire_.To("$JS.API.CONSUMER.CREATE.S.c");
  ASSERT_EQ(made.size(), 1u);
  EXPECT_THAT(made[0], HasSubstr(R"("opt_start_seq":7)")) << "which is not settled";
}

TEST_F(NatsConsumerTest, PollsNothingWhileNothingWaits) {
  Begin(10);
  ASSERT_TRUE(next_);
  EXPECT_GE(*next_ - now_, 30s);
  Deliver(1, 5);
  ASSERT_TRUE(next_);
  EXPECT_LE(*next_ - now_, 2s);
  EXPECT_EQ(sink_.backlog(), Backlog::Of(6));
}

TEST_F(NatsConsumerTest, SaysWhatTheServerDoesNotAllow) {
  Begin(10);
  Say("409", "Exceeded MaxRequestBatch of 5", 0);
  ASSERT_TRUE(sink_.health());
  EXPECT_THAT(std::string(sink_.health()->message()), StartsWith("nats: Exceeded MaxRequestBatch of 5"));
}

TEST_F(NatsConsumerTest, AsksNoMoreOnceItIsQuiet) {
  Begin(10);
  consumer_.Quiesce();
  Turn();
  EXPECT_THAT(wire_.drained, ElementsAre(1u));
  Deliver(1);
  EXPECT_EQ(sink_.Await(0).size(), 0u);
  EXPECT_THAT(wire_.To(AckOf(1)), ElementsAre("-NAK"));
}

}  // namespace
}  // namespace mayfly::gateway
