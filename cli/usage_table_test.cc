#include "cli/usage_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mayfly::cli {
namespace {

using gateway::UsageRecord;
using ::testing::HasSubstr;

UsageRecord Record(const std::string& function, const std::string& trigger, std::uint64_t number,
                   std::int64_t until_ms = 2000) {
  return {.from_ms = until_ms - 1000,
          .until_ms = until_ms,
          .gateway = "gw",
          .instance = "i",
          .number = number,
          .function = function,
          .trigger = trigger,
          .sums = {.invocations = 1, .wall_us = 1'500, .cpu_us = 250, .memory_kb_ms = 2'000'000}};
}

UsageTable Filled(UsageTableOptions options) {
  UsageTable table(std::move(options));
  table.Add(Record("shop/cart", "http", 1));
  table.Add(Record("shop/cart", "", 2));
  table.Add(Record("shop/pay", "http", 3));
  table.Add(Record("blog/post", "http", 4, 9000));
  table.Add(Record("blog/post", "http", 4, 9000));  // it was copied twice
  return table;
}

TEST(UsageTable, HasARowForEachTrigger) {
  EXPECT_EQ(Filled({}).Show("table"),
            "NAMESPACE  FUNCTION  TRIGGER    INVOCATIONS  BILLED MS  CPU MS      GB-S\n"
            "blog       post      http                 1      1.500   0.250  0.002000\n"
            "shop       cart      (by name)            1      1.500   0.250  0.002000\n"
            "shop       cart      http                 1      1.500   0.250  0.002000\n"
            "shop       pay       http                 1      1.500   0.250  0.002000\n"
            "TOTAL                                     4      6.000   1.000  0.008000\n");
}

TEST(UsageTable, AddsUpWhatOneTenantUsed) {
  const auto json = nlohmann::json::parse(Filled({.by = UsageBy::kNamespace}).Show("json"));
  ASSERT_EQ(json["usage"].size(), 2u);
  EXPECT_EQ(json["usage"][1]["namespace"], "shop");
  EXPECT_EQ(json["usage"][1]["invocations"], 3);
  EXPECT_EQ(json["usage"][1]["wallMilliseconds"], 4.5);
  EXPECT_EQ(json["usage"][1]["gigabyteSeconds"], 0.006);
  EXPECT_FALSE(json["usage"][1].contains("function"));
  EXPECT_EQ(json["total"]["invocations"], 4);
  EXPECT_EQ(json["until"], "1970-01-01T00:00:09.000Z");
}

TEST(UsageTable, LeavesOutWhatIsOlderAndWhatIsOthers) {
  EXPECT_THAT(Filled({.since_ms = 2000}).Show("table"), Not(HasSubstr("shop")));
  EXPECT_THAT(Filled({.function = "shop/pay"}).Show("table"), Not(HasSubstr("cart")));
  EXPECT_EQ(Filled({.function = "shop/none"}).Show("table"), "Nothing was used.\n");
}

TEST(UsageTable, TakesTimesAsPeopleSayThem) {
  constexpr std::int64_t kNow = 1'772'366'400'000;  // 2026-03-01T12:00:00Z
  constexpr std::int64_t kHour = 3'600'000;
  EXPECT_EQ(ParseSince("90m", kNow).value(), kNow - kHour * 3 / 2);
  EXPECT_EQ(ParseSince("7d", kNow).value(), kNow - 7 * 24 * kHour);
  EXPECT_EQ(ParseSince("2026-03-01", kNow).value(), kNow - 12 * kHour);
  EXPECT_EQ(ParseSince("2026-03-01T11:00:00Z", kNow).value(), kNow - kHour);
  for (const char* const wrong : {"", "yesterday", "-1h", "2026-13-01", "d", "1000000h"})
    EXPECT_FALSE(ParseSince(wrong, kNow).ok()) << wrong;
}

}  // namespace
}  // namespace mayfly::cli
