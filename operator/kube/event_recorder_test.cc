#include "operator/kube/event_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kube/testing/eventually.h"
#include "operator/kube/testing/fake_transport.h"

namespace mayfly::kube {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::StartsWith;

EventNote Note(const std::string& message, const std::string& name = "thumbnail") {
  return {.regarding = {.api_version = "mayfly.dev/v1alpha1",
                        .kind = "Function",
                        .space = "photos",
                        .name = name,
                        .uid = "u"},
          .warning = true,
          .reason = "ImagePullFailed",
          .message = message};
}

const base::MonotonicTime kNow{seconds(1000)};
const base::WallTime kWall{seconds(1'700'000'000)};

TEST(EventCorrelator, CountsTheSameEventAndMakesItAnewAfterTheWindow) {
  EventCorrelator correlator({});
  const auto first = correlator.Correlate(Note("m"), kNow, kWall);
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->fresh);
  EXPECT_THAT(first->name, StartsWith("thumbnail."));
  const auto second = correlator.Correlate(Note("m"), kNow + seconds(599), kWall + seconds(599));
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->fresh);
  EXPECT_EQ(second->name, first->name);
  EXPECT_EQ(second->count, 2);
  EXPECT_EQ(second->first, kWall);
  const auto later = correlator.Correlate(Note("m"), kNow + seconds(1300), kWall + seconds(1300));
  EXPECT_TRUE(later->fresh);
  EXPECT_EQ(later->count, 1);
  EXPECT_NE(later->name, first->name);
}

TEST(EventCorrelator, CombinesManyThatDifferInTheirMessageOnly) {
  EventCorrelator correlator({.burst = 1000});
  std::set<std::string> names;
  std::optional<EventWrite> last;
  for (int i = 0; i < 100; ++i) {
    last = correlator.Correlate(Note("m" + std::to_string(i)), kNow, kWall);
    names.insert(last->name);
  }
  EXPECT_EQ(names.size(), 11u);
  EXPECT_EQ(last->message, "(combined from similar events): m99");
  EXPECT_EQ(last->count, 90);
}

TEST(EventCorrelator, GivesEachObjectItsShareAndNoMore) {
  EventCorrelator correlator({.burst = 3, .per_second = 1});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(correlator.Correlate(Note("m"), kNow, kWall));
  EXPECT_FALSE(correlator.Correlate(Note("m"), kNow, kWall));
  EXPECT_TRUE(correlator.Correlate(Note("m", "another"), kNow, kWall));
  EXPECT_TRUE(correlator.Correlate(Note("m"), kNow + seconds(1), kWall));
}

TEST(EventCorrelator, CutsALongMessageBetweenCharacters) {
  EventCorrelator correlator({});
  std::string message;
  for (int i = 0; i < 1000; ++i) message += "ä";
  const auto write = correlator.Correlate(Note(message), kNow, kWall);
  EXPECT_LE(write->message.size(), 1024u);
  EXPECT_TRUE(write->message.ends_with("ä..."));
}

TEST(EventCorrelator, RemembersOnlySoMuch) {
  EventCorrelator correlator({.remembered = 10});
  const auto first = correlator.Correlate(Note("m", "f"), kNow, kWall);
  for (int i = 0; i < 10; ++i) correlator.Correlate(Note("m", "f" + std::to_string(i)), kNow, kWall);
  EXPECT_TRUE(correlator.Correlate(Note("m", "f"), kNow, kWall)->fresh);
}

class EventRecorderTest : public ::testing::Test {
 protected:
  bool Counted(const std::string& outcome, int count) {
    const std::string line =
        "mayfly_kube_events_total{outcome=\"" + outcome + "\"} " + std::to_string(count) + "\n";
    return Eventually([&] { return metrics_.Text().find(line) != std::string::npos; });
  }

  testing::FakeTransport transport_;
  base::Metrics metrics_;
  base::RealClock clock_;
  Client client_{transport_, metrics_, clock_};
};

TEST_F(EventRecorderTest, WritesAnEventAndThenRaisesItsCount) {
  transport_.ThenAnswer(201, "{}");
  EventRecorder recorder(client_, {.instance = "pod-1"});
  recorder.Start();
  recorder.Record(Note("m"));
  recorder.Record(Note("m"));
  EXPECT_TRUE(Counted("sent", 2));
  const auto requests = transport_.requests();
  EXPECT_EQ(requests[0].method + " " + requests[0].target, "POST /api/v1/namespaces/photos/events");
  const json event = json::parse(requests[0].body);
  EXPECT_EQ(event["involvedObject"]["uid"], "u");
  EXPECT_EQ(event["type"], "Warning");
  EXPECT_EQ(event["source"]["component"], "mayfly-operator");
  EXPECT_EQ(requests[1].method, "PATCH");
  EXPECT_EQ(json::parse(requests[1].body)["count"], 2);
}

TEST_F(EventRecorderTest, MakesAnEventAnewThatTheServerDoesNotKeepAnyMore) {
  transport_.ThenAnswer(201, "{}");
  transport_.ThenAnswer(404, "{}");
  transport_.ThenAnswer(201, "{}");
  EventRecorder recorder(client_, {});
  recorder.Start();
  recorder.Record(Note("m"));
  recorder.Record(Note("m"));
  EXPECT_TRUE(Counted("sent", 2));
  EXPECT_EQ(transport_.requests()[2].method, "POST");
}

TEST_F(EventRecorderTest, NeverKeepsItsCallerWaitingAndCountsWhatItLost) {
  transport_.Then([](const HttpRequest&, const TransferOptions& options) -> absl::StatusOr<HttpResponse> {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait(lock, options.stop, [] { return false; });
    return absl::CancelledError("stopped");
  });
  EventRecorder recorder(client_, {.queue = 10});
  recorder.Start();
  recorder.Record(Note("m"));
  EXPECT_TRUE(Eventually([this] { return transport_.requests().size() == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) recorder.Record(Note("m"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(1));
  EXPECT_TRUE(Counted("queue_full", 990));
  recorder.Stop(std::chrono::milliseconds(10));
}

TEST_F(EventRecorderTest, DropsWhatTheServerRefuses) {
  transport_.ThenAnswer(403, "{}");
  EventRecorder recorder(client_, {});
  recorder.Start();
  recorder.Record(Note("m"));
  EXPECT_TRUE(Counted("failed", 1));
  EXPECT_EQ(transport_.requests().size(), 1u);
}

TEST_F(EventRecorderTest, SendsWhatWaitsBeforeItStops) {
  transport_.ThenAnswer(201, "{}");
  EventRecorder recorder(client_, {});
  for (int i = 0; i < 5; ++i) recorder.Record(Note("m" + std::to_string(i)));
  recorder.Start();
  recorder.Stop();
  EXPECT_EQ(transport_.requests().size(), 5u);
  recorder.Record(Note("late"));
  EXPECT_TRUE(Counted("queue_full", 1));
}

}  // namespace
}  // namespace mayfly::kube
