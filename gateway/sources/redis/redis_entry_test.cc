#include "gateway/sources/redis/redis_entry.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;

constexpr RedisId kId{1'700'000'000'123, 4};

SourceEvent Event(std::vector<std::pair<std::string, std::string>> fields) {
  return EventOf("orders", {.id = kId, .fields = std::move(fields)});
}

std::string Attribute(const SourceEvent& event, std::string_view name) {
  for (const v1::Pair& pair : event.event.attributes()) {
    if (pair.name() == name) return pair.value();
  }
  return "";
}

TEST(RedisIdTest, IsReadAndOrdered) {
  EXPECT_EQ(ReadRedisId("1700000000123-4"), kId);
  EXPECT_EQ(kId.Text(), "1700000000123-4");
  EXPECT_EQ(kId.Before(), (RedisId{1'700'000'000'123, 3}));
  EXPECT_EQ((RedisId{5, 0}).Before(), (RedisId{4, UINT64_MAX}));
  EXPECT_EQ((RedisId{}).Before(), RedisId{});
  EXPECT_LT((RedisId{9, 9}), (RedisId{10, 0}));
  for (const char* wrong : {"", "7", "7-", "-7", "7-x", "7-1 ", "18446744073709551616-0", "a-0"})
    EXPECT_FALSE(ReadRedisId(wrong)) << wrong;
}

TEST(RedisEntryTest, OfAllItsFieldsIsAnObject) {
  const SourceEvent event = Event({{"order", "7"}, {"state", "paid"}, {"tag", "a"}, {"tag", "b"}});
  EXPECT_EQ(event.event.id(), "orders/1700000000123-4");
  EXPECT_EQ(event.event.source(), "/redis/orders");
  EXPECT_EQ(event.event.type(), "dev.mayfly.redis.entry");
  EXPECT_EQ(event.event.subject(), "orders");
  EXPECT_EQ(event.event.time(), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(event.event.data_content_type(), "application/json");
  EXPECT_EQ(Json::parse(event.body), Json::parse(R"({"order":"7","state":"paid","tag":["a","b"]})"));
  EXPECT_EQ(Attribute(event, "redisstream"), "orders");
  EXPECT_EQ(Attribute(event, "redisid"), "1700000000123-4");
  EXPECT_EQ(event.lane, "orders");
}

TEST(RedisEntryTest, HasItsDataAsItIs) {
  const std::string bytes("\xff\0{", 3);
  SourceEvent event = Event({{"data", bytes}, {"content-type", "image/png"}, {"shop", "7"}});
  EXPECT_EQ(event.body, bytes);
  EXPECT_EQ(event.event.data_content_type(), "image/png");
  EXPECT_EQ(Json::parse(Attribute(event, "redisfields")),
            Json::parse(R"({"content-type":"image/png","shop":"7"})"));
  event = Event({{"payload", "x"}});
  EXPECT_EQ(event.body, "x");
  EXPECT_EQ(Attribute(event, "redisfields"), "");
  event = Event({{"payload", "x"}, {"data", "y"}});
  EXPECT_EQ(event.body, "y");
}

TEST(RedisEntryTest, IsACloudEventOfFields) {
  for (const std::string prefix : {"ce-", "ce_"}) {
    const SourceEvent event = Event({{prefix + "specversion", "1.0"},
                                     {prefix + "id", "e-1"},
                                     {prefix + "source", "/shop"},
                                     {prefix + "type", "order placed"},
                                     {prefix + "tenant", "blue"},
                                     {prefix + "partitionkey", "ada"},
                                     {"datacontenttype", "application/json"},
                                     {"data", "{}"}});
    EXPECT_EQ(event.event.id(), "e-1");
    EXPECT_EQ(event.event.source(), "/shop");
    EXPECT_EQ(event.event.type(), "order placed");
    EXPECT_EQ(event.event.data_content_type(), "application/json");
    EXPECT_EQ(Attribute(event, "tenant"), "blue");
    EXPECT_EQ(event.body, "{}");
    EXPECT_EQ(event.lane, "orders/ada");
  }
}

TEST(RedisEntryTest, IsACloudEventOfJson) {
  const SourceEvent event =
      Event({{"content-type", "application/cloudevents+json"},
             {"data", R"({"specversion":"1.0","id":"e-2","source":"/shop","type":"t","data":{"n":2}})"}});
  EXPECT_EQ(event.event.id(), "e-2");
  EXPECT_EQ(event.body, R"({"n":2})");
}

TEST(RedisEntryTest, ThatOnlyClaimsToBeACloudEventIsAnEntryLikeAnyOther) {
  const SourceEvent event = Event({{"ce-specversion", "1.0"}, {"ce-id", "e-3"}, {"data", "x"}});
  EXPECT_EQ(event.event.type(), "dev.mayfly.redis.entry");
  EXPECT_EQ(event.body, "x");
}

TEST(RedisEntryTest, WithAPartitionKeyIsOfItsLane) {
  EXPECT_EQ(Event({{"partitionkey", "ada"}, {"data", "x"}}).lane, "orders/ada");
}

TEST(RedisEntryTest, WithAnIdThatIsNoTimeHasNone) {
  EXPECT_EQ(EventOf("orders", {.id = {1, 1}, .fields = {{"data", "x"}}}).event.time(), "");
}

TEST(RedisEntryTest, WithBytesThatAreNotUtf8IsStillJson) {
  const SourceEvent event = Event({{"a\xff", "b\xfe"}});
  EXPECT_TRUE(Json::accept(event.body)) << event.body;
}

TEST(RedisEntryTest, IsReadFromNothingElse) {
  const auto text = [](const char* value) {
    RedisReply reply;
    reply.kind = RedisReply::Kind::kText;
    reply.text = value;
    return reply;
  };
  const auto list = [](std::vector<RedisReply> items) {
    RedisReply reply;
    reply.kind = RedisReply::Kind::kArray;
    reply.items = std::move(items);
    return reply;
  };
  RedisReply right = list({text("1-1"), list({text("a"), text("b")})});
  const auto entry = ReadRedisEntry(right);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->fields.size(), 1u);
  std::vector<RedisReply> wrong = {RedisReply(),
                                   text("1-1"),
                                   list({}),
                                   list({text("1-1"), text("a")}),
                                   list({text("1"), list({text("a"), text("b")})}),
                                   list({text("1-1"), list({text("a")})}),
                                   list({text("1-1"), list({text("a"), list({})})}),
                                   list({text("1-1"), RedisReply()})};
  for (RedisReply& each : wrong) EXPECT_FALSE(ReadRedisEntry(each));
}

}  // namespace
}  // namespace mayfly::gateway
