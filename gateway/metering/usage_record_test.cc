#include "gateway/metering/usage_record.h"

#include <gtest/gtest.h>

namespace mayfly::gateway {
namespace {

UsageRecord Example() {
  return {.from_ms = 1'772'366'400'000,
          .until_ms = 1'772'366'401'003,
          .gateway = "gw-1",
          .instance = "0123456789abcdef",
          .number = 7,
          .function = "shop/checkout",
          .trigger = "http",
          .sums = {.invocations = 3, .wall_us = 12'345, .cpu_us = 678, .memory_kb_ms = 90}};
}

TEST(UsageRecord, IsALineOfDocumentedFields) {
  EXPECT_EQ(ToLine(Example()),
            R"({"usageRecord":1,"from":"2026-03-01T12:00:00.000Z","until":"2026-03-01T12:00:01.003Z",)"
            R"("gateway":"gw-1","instance":"0123456789abcdef","number":7,"namespace":"shop",)"
            R"("function":"checkout","trigger":"http","invocations":3,"wallMicroseconds":12345,)"
            R"("cpuMicroseconds":678,"memoryKilobyteMilliseconds":90})"
            "\n");
}

TEST(UsageRecord, IsTheSameAfterItWasReadBack) {
  const std::string line = ToLine(Example());
  const auto read = ParseUsageRecord(line);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(ToLine(*read), line);
}

TEST(UsageRecord, IsToldFromWhatIsNone) {
  const std::string line = ToLine(Example());
  for (const std::string& other :
       {std::string(), std::string("level=info msg=ready"), std::string("{}"), std::string("[1]"),
        line.substr(0, line.size() / 2), std::string(R"({"usageRecord":1,"from":7})"),
        std::string(R"({"usageRecord":2})"), std::string(R"({"usageRecord":1,"from":"yesterday"})")}) {
    EXPECT_FALSE(ParseUsageRecord(other).ok()) << other;
  }
}

}  // namespace
}  // namespace mayfly::gateway
