#include "gateway/delivery/destinations.h"

#include <nlohmann/json.hpp>

#include "gateway/delivery/delivery_engine_fixture.h"
#include "gateway/delivery/url_dispatcher.h"

namespace mayfly::gateway {
namespace {

using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using Json = nlohmann::json;

class DestinationsTest : public DeliveryWorld {
 protected:
  DestinationsTest() {
    queue_.on_settled = [this](const std::string& id, Settled how) { settled_.emplace_back(id, how); };
    MakeEngine();
  }
  // default/f with its destinations, and default/audit.
  void Serve(const std::string& on_success, const std::string& on_failure, const std::string& url = "") {
    v1::FunctionRoute f = Route({"queue", "hook"});
    if (!on_success.empty()) f.mutable_on_success()->set_function(on_success);
    if (!on_failure.empty()) f.mutable_on_failure()->set_function(on_failure);
    if (!url.empty()) f.mutable_on_success()->set_url(url);
    Apply(f);
    v1::FunctionRoute audit = Route({});
    audit.set_function("default/audit");
    Apply(audit);
  }
  void Accept(const std::string& id, bool keep_result = false) {
    NewEvent event;
    event.record = NewRecordId(1'700'000'000'000);
    record_ = event.record;
    event.trigger = {"default/f", kAsyncTrigger};
    event.event.set_id(id);
    event.event.set_source("/me");
    event.event.set_type("order");
    event.body = R"({"n":1})";
    event.keep_result = keep_result;
    engine_->Accept(std::move(event), [](const absl::StatusOr<Accepted>&) {});
    Settle();
  }
  // The one call that there is, which must be of `type`.
  std::list<ManualDispatcher::Call>::iterator Only(const std::string& type) {
    EXPECT_EQ(dispatcher_.calls.size(), 1u);
    if (dispatcher_.calls.empty()) return dispatcher_.calls.end();
    EXPECT_EQ(dispatcher_.calls.front().start.event().type(), type);
    return dispatcher_.calls.begin();
  }
  static std::string Extension(const v1::Event& event, const std::string& name) {
    for (const v1::Pair& pair : event.attributes()) {
      if (pair.name() == name) return pair.value();
    }
    return "";
  }

  std::vector<std::pair<std::string, Settled>> settled_;
  std::string record_;
};

TEST_F(DestinationsTest, TheAnswerIsAnEventOfTheNextFunction) {
  Serve("default/audit", "");
  Accept("order-1");
  dispatcher_.Answer(Only("order"), 200, "done", {{"Content-Type", "text/plain"}});
  Settle();
  const auto call = Only("dev.mayfly.function.succeeded");
  ASSERT_NE(call, dispatcher_.calls.end());
  const v1::Event& event = call->start.event();
  EXPECT_EQ(event.id(), record_ + ".1");
  EXPECT_EQ(event.source(), "/mayfly/functions/default/f");
  EXPECT_EQ(event.subject(), "order-1");
  EXPECT_EQ(event.data_content_type(), "text/plain");
  EXPECT_EQ(Extension(event, "mayflyhops"), "1");
  EXPECT_EQ(Extension(event, "mayflytrigger"), "_async");
  EXPECT_EQ(call->body, "done");
  dispatcher_.Answer(call, 204);
  Settle();
  EXPECT_TRUE(dispatcher_.calls.empty());
  EXPECT_EQ(Sums()[kDestinationsTrigger].settled, 1u);
}

TEST_F(DestinationsTest, AnAnswerThatIsACloudEventGoesOnAsItIs) {
  Serve("default/audit", "");
  Accept("order-1");
  dispatcher_.Answer(Only("order"), 200, "{}",
                     {{"ce-specversion", "1.0"},
                      {"ce-type", "com.example.shipped"},
                      {"ce-source", "/warehouse"},
                      {"ce-mayflyhops", "0"},
                      {"ce-priority", "high"},
                      {"content-type", "application/json"}});
  Settle();
  const v1::Event& event = Only("com.example.shipped")->start.event();
  EXPECT_EQ(event.source(), "/warehouse");
  EXPECT_EQ(event.id(), record_ + ".1") << "which the answer does not give";
  EXPECT_EQ(Extension(event, "priority"), "high");
  EXPECT_EQ(Extension(event, "mayflyhops"), "1") << "nobody counts hops but us";
  EXPECT_EQ(event.data_content_type(), "application/json");
}

TEST_F(DestinationsTest, WhatIsGivenUpIsToldWithItsReasonAndTheEvent) {
  Serve("", "default/audit");
  Accept("order-1");
  for (int attempt = 1; attempt <= 3; ++attempt) {
    dispatcher_.Fail(Only("order"), v1::OUTCOME_CRASHED, "Crashed");
    Settle();
    if (attempt < 3) Pass(seconds(10));
  }
  const auto call = Only("dev.mayfly.function.failed");
  ASSERT_NE(call, dispatcher_.calls.end());
  const Json json = Json::parse(call->body);
  EXPECT_EQ(json["function"], "default/f");
  EXPECT_EQ(json["reason"], "Crashed");
  EXPECT_EQ(json["attempts"], 3);
  EXPECT_EQ(json["event"]["id"], "order-1");
  EXPECT_EQ(json["event"]["data"]["n"], 1);
  EXPECT_EQ(Dead().size(), 1u) << "it is a dead letter too";
}

TEST_F(DestinationsTest, AnAnswerThatSaysNoIsAFailureThoughWhoeverAsksGetsIt) {
  Serve("default/audit", "default/audit");
  Accept("order-1", true);
  dispatcher_.Answer(Only("order"), 422, "no such order");
  Settle();
  EXPECT_EQ(Json::parse(Only("dev.mayfly.function.failed")->body)["reason"], "Status422");
  EXPECT_TRUE(Dead().empty());
}

TEST_F(DestinationsTest, WithoutDestinationsNothingGoesOn) {
  Serve("", "");
  Accept("order-1");
  dispatcher_.Answer(Only("order"), 200, "done");
  Settle();
  EXPECT_TRUE(dispatcher_.calls.empty());
}

TEST_F(DestinationsTest, AnEventIsSettledAtItsSourceOnceItsResultIsStored) {
  Serve("default/audit", "default/audit");
  queue_.Publish({"a", "", "body"});
  Settle();
  store_->fail = [] { return true; };
  dispatcher_.Answer(Only("fake"), 200, "done");
  Settle();
  EXPECT_THAT(settled_, IsEmpty());
  store_->fail = {};
  Pass(seconds(2));
  EXPECT_THAT(settled_, ElementsAre(Pair("a", Settled::kDone)));
  EXPECT_EQ(Only("dev.mayfly.function.succeeded")->body, "done");
  EXPECT_EQ(Sums()["queue"].settled, 1u);
}

TEST_F(DestinationsTest, AnEventOfASourceThatIsGivenUpLeavesALetterAndAResult) {
  Serve("", "default/audit");
  queue_.Publish({"a", "", "body"});
  Settle();
  dispatcher_.Answer(Only("fake"), 400, "bad");
  Settle();
  EXPECT_THAT(settled_, ElementsAre(Pair("a", Settled::kDeadLettered)));
  EXPECT_EQ(Dead().size(), 1u);
  EXPECT_EQ(Json::parse(Only("dev.mayfly.function.failed")->body)["event"]["id"], "a");
  EXPECT_EQ(Sums()["queue"].dead_lettered, 1u);
}

TEST_F(DestinationsTest, ResultsAreThereAfterARestart) {
  Serve("default/audit", "");
  Accept("order-1");
  dispatcher_.Answer(Only("order"), 200, "done");
  Settle();
  StopEngine();
  MakeEngine(2);
  Serve("default/audit", "");
  Pass(seconds(1));
  const auto call = Only("dev.mayfly.function.succeeded");
  ASSERT_NE(call, dispatcher_.calls.end());
  EXPECT_EQ(call->body, "done");
}

TEST_F(DestinationsTest, WaitForAFunctionThatIsNotThereYet) {
  v1::FunctionRoute f = Route({"hook"});
  f.mutable_on_success()->set_function("default/late");
  Apply(f);
  Accept("order-1");
  dispatcher_.Answer(Only("order"), 200, "done");
  Settle();
  EXPECT_TRUE(dispatcher_.calls.empty());
  v1::FunctionRoute late = Route({});
  late.set_function("default/late");
  Apply(late);
  Only("dev.mayfly.function.succeeded");
}

TEST_F(DestinationsTest, FunctionsThatCallEachOtherInACircleEndAsADeadLetterThatSaysSo) {
  Serve("default/f", "default/f");
  Accept("order-1");
  int calls = 0;
  while (!dispatcher_.calls.empty() && calls < 100) {
    ++calls;
    dispatcher_.Answer(dispatcher_.calls.begin(), 200, "again");
    Settle();
    Pass(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(calls, 17) << "the first, and 16 results";
  const auto letters = Dead();
  ASSERT_EQ(letters.size(), 1u) << "which its failure does not go on from";
  EXPECT_EQ(letters[0].problem.reason(), "LoopDetected");
  EXPECT_THAT(letters[0].problem.message(), HasSubstr("destinations make a circle"));
  const auto sums = Sums();
  EXPECT_EQ(sums.at(kDestinationsTrigger).dead_lettered, 1u);
  EXPECT_EQ(sums.at(kDestinationsTrigger).pending, 0u);
}

TEST_F(DestinationsTest, AUrlIsPostedToAgainUntilItTakesTheResult) {
  Serve("default/audit", "", "https://example.com/done");
  Accept("order-1");
  dispatcher_.Answer(Only("order"), 200, "done");
  Settle();
  EXPECT_EQ(Only("dev.mayfly.function.succeeded")->body, "done") << "the function gets it too";
  ASSERT_EQ(urls_.calls.size(), 1u);
  EXPECT_EQ(urls_.calls.front().body, "done");
  urls_.Answer(urls_.calls.begin(), 503);
  Settle();
  EXPECT_TRUE(urls_.calls.empty());
  Pass(seconds(10));
  ASSERT_EQ(urls_.calls.size(), 1u);
  EXPECT_EQ(urls_.calls.front().start.attempt(), 2u);
  urls_.Answer(urls_.calls.begin(), 202);
  Settle();
  EXPECT_EQ(Sums()[kOnSuccessTrigger].settled, 1u);
}

TEST_F(DestinationsTest, AUrlThatRefusesAResultLeavesADeadLetterAndNothingMore) {
  v1::FunctionRoute f = Route({});
  f.mutable_on_success()->set_url("https://example.com/done");
  f.mutable_on_failure()->set_function("default/audit");
  Apply(f);
  Accept("order-1");
  dispatcher_.Answer(Only("order"), 200, "done");
  Settle();
  ASSERT_EQ(urls_.calls.size(), 1u);
  urls_.Answer(urls_.calls.begin(), 302, "");
  Settle();
  const auto letters = Dead();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].trigger.trigger, kOnSuccessTrigger);
  EXPECT_THAT(letters[0].problem.message(), HasSubstr("the destination's server answered with status 302"));
  EXPECT_TRUE(dispatcher_.calls.empty());
}

TEST_F(DestinationsTest, AUrlNeedsNoReplicaOfItsFunction) {
  Serve("", "", "https://example.com/done");
  Accept("order-1");
  const auto call = Only("order");
  v1::FunctionRoute f = Route({});
  f.mutable_on_success()->set_url("https://example.com/done");
  f.mutable_unavailable()->set_reason("ArtifactMissing");
  Apply(f);
  dispatcher_.Answer(call, 200, "done");
  Settle();
  EXPECT_EQ(urls_.calls.size(), 1u);
}

TEST(EventCallTest, IsTheEventInBinaryMode) {
  v1::Event event;
  event.set_id("1");
  event.set_source("/mayfly/functions/default/f");
  event.set_type("t");
  event.set_subject("Euro € \"100%\"");
  event.set_data_content_type("application/json");
  v1::Pair& pair = *event.add_attributes();
  pair.set_name("mayflyhops");
  pair.set_value("1");
  const HttpCall call = EventCall("https://example.com/", event, "{}");
  EXPECT_EQ(call.method, "POST");
  EXPECT_EQ(call.body, "{}");
  EXPECT_THAT(call.headers, Contains(Pair("ce-specversion", "1.0")));
  EXPECT_THAT(call.headers, Contains(Pair("ce-subject", "Euro%20%E2%82%AC%20%22100%25%22")));
  EXPECT_THAT(call.headers, Contains(Pair("ce-mayflyhops", "1")));
  EXPECT_THAT(call.headers, Contains(Pair("content-type", "application/json")));
  v1::Event odd;
  odd.set_data_content_type("text/plain\r\nx-evil: 1");
  EXPECT_THAT(EventCall("https://example.com/", odd, "").headers,
              Contains(Pair("content-type", "application/octet-stream")));
}

TEST(HopsTest, CountsWhatIsNoNumberAsMany) {
  v1::Event event;
  EXPECT_EQ(HopsOf(event), 0u);
  v1::Pair& pair = *event.add_attributes();
  pair.set_name("mayflyhops");
  for (const auto& [text, hops] : std::map<std::string, std::uint32_t>{
           {"3", 3}, {"16", 16}, {"17", 17}, {"99999999999999999999", 17}, {"-1", 17}, {"x", 17}, {"", 17}}) {
    pair.set_value(text);
    EXPECT_EQ(HopsOf(event), hops) << text;
  }
}

}  // namespace
}  // namespace mayfly::gateway
