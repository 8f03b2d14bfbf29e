#include "operator/kube/informer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/object_meta.h"
#include "operator/kube/testing/eventually.h"
#include "operator/kube/testing/fake_transport.h"

namespace mayfly::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

struct Item {
  ObjectMeta meta;
  std::string value;

  bool operator==(const Item&) const = default;
};

std::string Object(const std::string& name, const std::string& value, int version) {
  return R"({"metadata":{"namespace":"a","name":")" + name + R"(","resourceVersion":")" +
         std::to_string(version) + R"("},"value":")" + value + "\"}";
}

std::string List(int version, const std::vector<std::string>& objects) {
  std::string items;
  for (const std::string& object : objects) items += (items.empty() ? "" : ",") + object;
  return R"({"metadata":{"resourceVersion":")" + std::to_string(version) + R"("},"items":[)" + items + "]}";
}

std::string Event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}

const std::string kExpired =
    Event("ERROR", R"({"kind":"Status","code":410,"reason":"Expired","message":"too old"})");

class InformerTest : public ::testing::Test {
 protected:
  InformerTest() { items_.AddHandler(heard_.Handler()); }

  std::vector<std::string> Targets() const {
    std::vector<std::string> targets;
    for (const HttpRequest& request : transport_.requests()) targets.push_back(request.target);
    return targets;
  }

  void ExpectHeard(std::vector<std::string> keys) {
    EXPECT_TRUE(Eventually([&] { return heard_.size() >= keys.size(); }));
    EXPECT_EQ(heard_.Take(), keys);
  }

  testing::FakeTransport transport_;
  base::Metrics metrics_;
  base::RealClock clock_;
  Client client_{transport_, metrics_, clock_, {.per_second = 10'000, .burst = 10'000}};
  testing::HeardKeys heard_;
  Informer<Item> items_{
      client_,
      {.resource = ConfigMaps(), .first_backoff = milliseconds(2), .longest_backoff = milliseconds(10)},
      [](const JsonView& object) { return Item{ReadMeta(object), std::string(object["value"].Text())}; }};
};

TEST_F(InformerTest, FollowsAListWithAWatchFromItsVersion) {
  transport_.ThenAnswer(200, List(5, {Object("x", "1", 3), Object("y", "1", 4)}));
  transport_.ThenHang(Event("MODIFIED", Object("x", "2", 6)) + Event("DELETED", Object("y", "1", 7)) +
                      Event("ADDED", Object("z", "1", 8)));
  EXPECT_FALSE(items_.synced());
  items_.Start();
  EXPECT_TRUE(items_.WaitSynced(clock_.Now() + seconds(20)));
  ExpectHeard({"a/x", "a/y", "a/x", "a/y", "a/z"});
  EXPECT_EQ(items_.Get("a/x")->value, "2");
  EXPECT_EQ(items_.Get("a/y"), nullptr);
  EXPECT_THAT(items_.Keys(), UnorderedElementsAre("a/x", "a/z"));
  EXPECT_THAT(Targets()[1], HasSubstr("resourceVersion=5&"));
  EXPECT_TRUE(items_.current());
}

TEST_F(InformerTest, GoesOnWhereABrokenWatchEndedWithoutListingAgain) {
  transport_.ThenAnswer(200, List(5, {}));
  const std::string cut = Event("ADDED", Object("y", "1", 8));
  transport_.ThenAnswer(200, Event("ADDED", Object("x", "1", 6)) + cut.substr(0, cut.size() / 2));
  transport_.ThenHang(cut);
  items_.Start();
  ExpectHeard({"a/x", "a/y"});
  EXPECT_THAT(Targets()[2], HasSubstr("resourceVersion=6&"));
}

TEST_F(InformerTest, GoesOnFromABookmarkWhereNothingElseHappened) {
  transport_.ThenAnswer(200, List(5, {}));
  transport_.ThenAnswer(200, Event("BOOKMARK", R"({"metadata":{"resourceVersion":"900"}})"));
  transport_.ThenHang(Event("ADDED", Object("x", "1", 901)));
  items_.Start();
  ExpectHeard({"a/x"});
  EXPECT_THAT(Targets()[2], HasSubstr("resourceVersion=900&"));
}

TEST_F(InformerTest, ListsAnewAfterGoneAndTellsOfWhatItMissed) {
  transport_.ThenAnswer(200, List(5, {Object("x", "1", 3), Object("y", "1", 4), Object("z", "1", 5)}));
  transport_.ThenAnswer(200, kExpired);
  transport_.ThenAnswer(200, List(50, {Object("x", "1", 3), Object("z", "2", 40)}));
  transport_.ThenHang("");
  items_.Start();
  EXPECT_TRUE(Eventually([this] { return heard_.size() >= 5; }));
  const auto heard = heard_.Take();
  EXPECT_THAT(std::vector<std::string>(heard.begin() + 3, heard.end()), ElementsAre("a/z", "a/y"));
  EXPECT_EQ(items_.Get("a/y"), nullptr);
  EXPECT_TRUE(Eventually([this] { return Targets().size() >= 4; }));
  EXPECT_THAT(Targets()[3], HasSubstr("resourceVersion=50&"));
}

TEST_F(InformerTest, ListsAnewAlsoWhenTheServerIsYoungerThanItsVersion) {
  transport_.ThenAnswer(200, List(5, {}));
  transport_.ThenAnswer(504, R"({"kind":"Status","code":504,"reason":"Timeout","details":{"causes":[
      {"reason":"ResourceVersionTooLarge","message":"Too large resource version"}]}})");
  transport_.ThenAnswer(200, List(2, {Object("x", "1", 1)}));
  transport_.ThenHang("");
  items_.Start();
  ExpectHeard({"a/x"});
}

TEST_F(InformerTest, KeepsWhatItKnowsWhileTheServerIsAwayAndSaysThatItMayBeOld) {
  transport_.ThenAnswer(200, List(5, {Object("x", "1", 3)}));
  transport_.ThenFail(absl::UnavailableError("connection refused"));
  items_.Start();
  EXPECT_TRUE(Eventually([this] { return Targets().size() >= 6; }));
  EXPECT_FALSE(items_.current());
  EXPECT_TRUE(items_.synced());
  EXPECT_NE(items_.Get("a/x"), nullptr);
  EXPECT_THAT(heard_.Take(), ElementsAre("a/x"));
}

TEST_F(InformerTest, TellsNothingOfAChangeThatNobodyReads) {
  transport_.ThenAnswer(200, List(5, {Object("x", "1", 3)}));
  transport_.ThenHang(Event("MODIFIED", Object("x", "1", 6)) + Event("MODIFIED", Object("x", "2", 7)));
  items_.Start();
  ExpectHeard({"a/x", "a/x"});
}

TEST_F(InformerTest, DoesNotTurnFastWhenWatchesEndAtOnce) {
  transport_.ThenAnswer(200, List(5, {}));
  transport_.ThenAnswer(200, "");
  Informer<Item> patient(
      client_, {.resource = ConfigMaps(), .first_backoff = seconds(10), .longest_backoff = seconds(10)},
      [](const JsonView&) { return Item(); });
  patient.Start();
  EXPECT_TRUE(Eventually([this] {
    return metrics_.Text().find(R"(watch_restarts_total{reason="short",resource="configmaps"} 1)") !=
           std::string::npos;
  }));
  const auto begin = clock_.Now();
  patient.Stop();
  EXPECT_LT(clock_.Now() - begin, seconds(5));
  EXPECT_EQ(Targets().size(), 2u);
}

TEST_F(InformerTest, StopsAtOnceWhileItsWatchHangs) {
  transport_.ThenAnswer(200, List(5, {}));
  transport_.ThenHang("");
  items_.Start();
  EXPECT_TRUE(Eventually([this] { return Targets().size() == 2; }));
  const auto begin = clock_.Now();
  items_.Stop();
  EXPECT_LT(clock_.Now() - begin, seconds(1));
}

}  // namespace
}  // namespace mayfly::kube
