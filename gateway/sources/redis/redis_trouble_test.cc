#include "gateway/sources/redis/redis_trouble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mayfly::gateway {
namespace {

using ::testing::HasSubstr;

TEST(RedisTroubleTest, SaysWhatToDoAboutWhatServersSay) {
  struct Case {
    const char* words;
    RedisTrouble trouble;
    const char* advice;
  };
  const Case cases[] = {
      {"NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
       RedisTrouble::kNoGroup, ""},
      {"UNBLOCKED the stream key no longer exists", RedisTrouble::kNoGroup, ""},
      {"ERR no such key", RedisTrouble::kNoGroup, "first XADD"},
      {"READONLY You can't write against a read only replica.", RedisTrouble::kElsewhere, "primary"},
      {"LOADING Redis is loading the dataset in memory", RedisTrouble::kElsewhere, ""},
      {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
       RedisTrouble::kElsewhere, ""},
      {"NOAUTH Authentication required.", RedisTrouble::kElsewhere, "credentials"},
      {"WRONGPASS invalid username-password pair or user is disabled.", RedisTrouble::kElsewhere, "Secret"},
      {"NOPERM this user has no permissions to run the 'xack' command", RedisTrouble::kRefused,
       "ACL SETUSER"},
      {"MOVED 3999 127.0.0.1:6381", RedisTrouble::kRefused, "cluster"},
      {"CROSSSLOT Keys in request don't hash to the same slot", RedisTrouble::kRefused, "{orders}.eu"},
      {"CLUSTERDOWN The cluster is down", RedisTrouble::kRefused, ""},
      {"MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
       RedisTrouble::kRefused, "cannot save"},
      {"OOM command not allowed when used memory > 'maxmemory'.", RedisTrouble::kRefused, "maxmemory"},
      {"WRONGTYPE Operation against a key holding the wrong kind of value", RedisTrouble::kRefused, "DEL"},
      {"ERR something new", RedisTrouble::kRefused, ""},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(RedisTroubleOf(each.words), each.trouble) << each.words;
    const absl::Status error = RedisError(each.words);
    EXPECT_FALSE(error.ok());
    EXPECT_THAT(std::string(error.message()), HasSubstr(each.words)) << "the server's own words";
    EXPECT_THAT(std::string(error.message()), HasSubstr(each.advice));
  }
}

TEST(RedisTroubleTest, HoldsWordsToOneLine) {
  const std::string message(RedisError("ERR a\nb\xff" + std::string(2'000, 'x')).message());
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_LT(message.size(), 600u);
}

}  // namespace
}  // namespace mayfly::gateway
