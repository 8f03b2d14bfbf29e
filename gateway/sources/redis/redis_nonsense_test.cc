// What a server may answer that is none of Redis, or none that it could: one sentence each, and nothing worse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "gateway/sources/redis/redis_source.h"
#include "gateway/sources/redis/scripted_redis.h"
#include "gateway/sources/testing/source_contract.h"

namespace mayfly::gateway {
namespace {

constexpr char kOneGroup[] =
    "*1\r\n*12\r\n$4\r\nname\r\n$23\r\nmayfly_default_f_orders\r\n$9\r\nconsumers\r\n:1\r\n$7\r\npending\r\n:"
    "1\r\n"
    "$17\r\nlast-delivered-id\r\n$3\r\n1-1\r\n$12\r\nentries-read\r\n:1\r\n$3\r\nlag\r\n:0\r\n";

// What a server says that has one entry, which another consumer has; "": nothing.
std::string Sensible(const std::vector<std::string>& words) {
  static const auto* const says = new std::map<std::string, std::string>{
      {"PING", "+PONG\r\n"},
      {"CLIENT", ":7\r\n"},
      {"EVAL", ":0\r\n"},
      {"XINFO", kOneGroup},
      {"XGROUP", ":1\r\n"},
      {"XREADGROUP", ""},
      {"XAUTOCLAIM", "*3\r\n$3\r\n0-0\r\n*1\r\n$3\r\n1-1\r\n*0\r\n"},
      {"XCLAIM", "*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$4\r\ndata\r\n$1\r\nx\r\n"},
      {"XPENDING", "*1\r\n*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:0\r\n:5\r\n"},
      {"XACK", ":1\r\n"},
  };
  const auto found = says->find(words.empty() ? "" : words[0]);
  return found == says->end() ? "-ERR unknown command\r\n" : found->second;
}

v1::EventTrigger TriggerOf(const ScriptedRedis& server) {
  v1::EventTrigger trigger;
  trigger.set_name("orders");
  trigger.mutable_redis()->set_server(server.address());
  trigger.mutable_redis()->add_streams("orders");
  trigger.mutable_redis()->set_claim_idle_ms(200);
  return trigger;
}

TEST(RedisNonsenseTest, IsNotWhatASensibleServerSays) {
  const ScriptedRedis server(Sensible);
  const auto factory = MakeRedisFactory();
  TestGateway gateway(*factory, TriggerOf(server));
  const std::vector<SourceEvent> events = gateway.Await(1);
  ASSERT_EQ(events.size(), 1u) << gateway.Said();
  EXPECT_EQ(events[0].body, "x");
  EXPECT_EQ(events[0].deliveries, 5u);
  EXPECT_TRUE(gateway.AwaitHealthy()) << gateway.Said();
}

struct Nonsense {
  const char* command;
  const char* answer;
  const char* said;
};

class RedisNonsense : public ::testing::TestWithParam<Nonsense> {};

TEST_P(RedisNonsense, IsToldInOneSentence) {
  const Nonsense& nonsense = GetParam();
  const ScriptedRedis server([&](const std::vector<std::string>& words) {
    return words[0] == nonsense.command ? std::string(nonsense.answer) : Sensible(words);
  });
  const auto factory = MakeRedisFactory();
  TestGateway gateway(*factory, TriggerOf(server));
  if (std::string_view(nonsense.command) == "XACK") {
    ASSERT_EQ(gateway.Await(1).size(), 1u) << gateway.Said();
    gateway.Settle(gateway.Await(1)[0]);
  }
  EXPECT_TRUE(gateway.AwaitComplaint(nonsense.said)) << gateway.Said();
}

constexpr char kNotSaid[] = " is not what Redis says";

INSTANTIATE_TEST_SUITE_P(
    Answers, RedisNonsense,
    ::testing::Values(
        Nonsense{"PING", "HTTP/1.1 400 Bad Request\r\n\r\n", "not Redis's protocol"},
        Nonsense{"PING", "*-7\r\n", "not Redis's protocol"},
        Nonsense{"PING", "-ERR max number of clients reached\r\n", "max number of clients reached"},
        Nonsense{"PING", "-DENIED Redis is running in protected mode\r\n", "protected mode"},
        Nonsense{"PING", "-LOADING Redis is loading the dataset in memory\r\n", "LOADING"},
        Nonsense{"CLIENT", ":7\r\n:8\r\n:9\r\n", "the server answers what was not asked"},
        Nonsense{"XINFO", ":1\r\n", kNotSaid}, Nonsense{"XINFO", "*1\r\n:1\r\n", kNotSaid},
        Nonsense{"XINFO", "*1\r\n*2\r\n$4\r\nname\r\n$23\r\nmayfly_default_f_orders\r\n", kNotSaid},
        Nonsense{"XINFO",
                 "*1\r\n*6\r\n$4\r\nname\r\n$23\r\nmayfly_default_f_orders\r\n$7\r\npending\r\n:-1\r\n"
                 "$17\r\nlast-delivered-id\r\n$3\r\n1-1\r\n",
                 kNotSaid},
        Nonsense{"XINFO",
                 "*1\r\n*6\r\n$4\r\nname\r\n$23\r\nmayfly_default_f_orders\r\n$7\r\npending\r\n:1\r\n"
                 "$17\r\nlast-delivered-id\r\n$3\r\nx-y\r\n",
                 kNotSaid},
        Nonsense{"XREADGROUP", ":1\r\n", kNotSaid}, Nonsense{"XREADGROUP", "*1\r\n:1\r\n", kNotSaid},
        Nonsense{"XREADGROUP", "*1\r\n*2\r\n$7\r\nnotours\r\n*0\r\n", kNotSaid},
        Nonsense{"XREADGROUP", "*1\r\n*2\r\n$6\r\norders\r\n*1\r\n*2\r\n$1\r\nx\r\n*0\r\n", kNotSaid},
        Nonsense{"XREADGROUP", "*1\r\n*2\r\n$6\r\norders\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*1\r\n$1\r\na\r\n",
                 kNotSaid},
        Nonsense{"XAUTOCLAIM", "+OK\r\n", kNotSaid}, Nonsense{"XAUTOCLAIM", "*1\r\n$3\r\n0-0\r\n", kNotSaid},
        Nonsense{"XAUTOCLAIM", "*2\r\n$3\r\n0-0\r\n*1\r\n$1\r\n?\r\n", kNotSaid},
        Nonsense{"XCLAIM", "+OK\r\n", kNotSaid}, Nonsense{"XCLAIM", "*1\r\n:7\r\n", kNotSaid},
        Nonsense{"XACK", "+OK\r\n", kNotSaid}));

// Servers before 7 have no list of what is gone, and say nothing where an entry was.
TEST(RedisNonsenseTest, AnEntryThatAnOldServerDoesNotHaveIsLostAndAcknowledged) {
  std::atomic<int> acknowledged = 0;
  const ScriptedRedis server([&](const std::vector<std::string>& words) {
    if (words[0] == "XAUTOCLAIM" && acknowledged == 0)
      return std::string("*2\r\n$3\r\n0-0\r\n*1\r\n$3\r\n1-1\r\n");
    if (words[0] == "XAUTOCLAIM") return std::string("*2\r\n$3\r\n0-0\r\n*0\r\n");
    if (words[0] == "XCLAIM") return std::string("*1\r\n$-1\r\n");
    if (words[0] == "XACK" && words.back() == "1-1") ++acknowledged;
    return Sensible(words);
  });
  const auto factory = MakeRedisFactory();
  TestGateway gateway(*factory, TriggerOf(server));
  EXPECT_TRUE(base::Eventually([&] { return acknowledged == 1; }, TestGateway::kWithin)) << gateway.Said();
  EXPECT_EQ(gateway.sink().lost(), 1u);
  EXPECT_EQ(gateway.count(), 0u);
}

}  // namespace
}  // namespace mayfly::gateway
