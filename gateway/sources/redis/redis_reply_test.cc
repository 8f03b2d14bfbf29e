#include "gateway/sources/redis/redis_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mayfly::gateway {
namespace {

using ::testing::HasSubstr;

// What `bytes` say, fed one by one.
absl::StatusOr<RedisReply> Read(const std::string& bytes) {
  RedisReader reader;
  RedisReply reply;
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    reader.Feed(bytes.substr(n, 1));
    const absl::StatusOr<bool> whole = reader.Next(&reply);
    if (!whole.ok()) return whole.status();
    if (*whole != (n + 1 == bytes.size())) return absl::OutOfRangeError("at " + std::to_string(n));
  }
  return reply;
}

TEST(RedisReaderTest, ReadsWhatComesInPieces) {
  const auto reply = Read("*5\r\n$3\r\na\r\n\r\n:7\r\n$-1\r\n+OK\r\n*2\r\n*0\r\n-ERR no\r\n");
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->items.size(), 5u);
  EXPECT_EQ(reply->items[0].text, "a\r\n");
  EXPECT_EQ(reply->items[1].integer, 7);
  EXPECT_TRUE(reply->items[2].is_nil());
  EXPECT_TRUE(reply->items[3].is_text());
  ASSERT_EQ(reply->items[4].items.size(), 2u);
  EXPECT_TRUE(reply->items[4].items[0].is_array());
  EXPECT_TRUE(reply->items[4].items[1].is_error());
}

TEST(RedisReaderTest, RefusesWhatIsNoReply) {
  for (const std::string bytes :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "$x\r\n", "*1\r\n?\r\n", ":\r\n", "\r\n"}) {
    const auto reply = Read(bytes);
    EXPECT_THAT(std::string(reply.status().message()), HasSubstr("not Redis's protocol")) << bytes;
  }
}

TEST(RedisReaderTest, TakesNoMemoryForWhatIsOnlyAnnounced) {
  RedisReader reader;
  RedisReply reply;
  for (int n = 0; n < 6; ++n) reader.Feed("*2000000000\r\n");
  reader.Feed("$500000000\r\nabc");
  const absl::StatusOr<bool> whole = reader.Next(&reply);
  EXPECT_TRUE(whole.ok() && !*whole) << whole.status();
}

TEST(RedisReaderTest, FindsNamesInTurnOnly) {
  const auto reply = Read("*4\r\n$4\r\nname\r\n$3\r\nlag\r\n$3\r\nlag\r\n:3\r\n");
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_NE(reply->Find("lag"), nullptr);
  EXPECT_EQ(reply->Find("lag")->integer, 3);
  EXPECT_EQ(reply->Find("pending"), nullptr);
}

TEST(RedisCommandTest, HasAnyBytes) {
  std::string out;
  AppendRedisCommand({"XADD", std::string("a\0b", 3), "\r\n"}, &out);
  EXPECT_EQ(out, "*3\r\n$4\r\nXADD\r\n$3\r\n" + std::string("a\0b", 3) + "\r\n$2\r\n\r\n\r\n");
}

}  // namespace
}  // namespace mayfly::gateway
