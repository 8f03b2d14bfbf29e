#include "operator/api/units.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace mayfly::op {
namespace {

using std::chrono::milliseconds;

TEST(ParseDuration, AddsNumbersWithUnits) {
  const std::map<std::string, std::int64_t> good = {{"0", 0},        {"0s", 0},
                                                    {"250ms", 250},  {"30s", 30'000},
                                                    {"5m", 300'000}, {"1h30m", 5'400'000},
                                                    {"1.5s", 1'500}, {".5s", 500},
                                                    {"1.s", 1'000},  {"2h0m1s3ms", 7'201'003},
                                                    {"0.001s", 1},   {"100h", 360'000'000}};
  for (const auto& [text, expected] : good) {
    const auto duration = ParseDuration(text);
    ASSERT_TRUE(duration.ok()) << text << ": " << duration.status();
    EXPECT_EQ(*duration, milliseconds(expected)) << text;
  }
}

TEST(ParseDuration, RefusesEverythingElse) {
  for (const char* text : {"",
                           " ",
                           "s",
                           "5",
                           "5 s",
                           "s5",
                           "+5s",
                           "-5s",
                           "5sm",
                           "1.2.3s",
                           ".s",
                           "1e3s",
                           "5S",
                           "5us",
                           "0.5ms",
                           "999999999999999999h",
                           "9999999999999999999s",
                           "876001h",
                           "1s\n",
                           "1.0000000001s"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(ParseQuantity, KnowsBothKindsOfSuffixes) {
  const std::map<std::string, std::uint64_t> good = {{"0", 0},
                                                     {"1048576", 1u << 20},
                                                     {"64Mi", 64u << 20},
                                                     {"1Gi", 1u << 30},
                                                     {"1.5Gi", 3u << 29},
                                                     {"500k", 500'000},
                                                     {"0.5Ki", 512},
                                                     {"7Ei", 7ull << 60},
                                                     {"1G", 1'000'000'000},
                                                     {"2T", 2'000'000'000'000}};
  for (const auto& [text, expected] : good) {
    const auto bytes = ParseQuantity(text);
    ASSERT_TRUE(bytes.ok()) << text << ": " << bytes.status();
    EXPECT_EQ(*bytes, expected) << text;
  }
}

TEST(ParseQuantity, RefusesEverythingElse) {
  for (const char* text : {"", "Mi", "64MB", "64 Mi", "64mi", "-1", "+1", "1e3", "8Ei", "9223372036854775808",
                           "0.3", "100m", "1Gi ", "0x10"}) {
    EXPECT_FALSE(ParseQuantity(text).ok()) << text;
  }
}

TEST(ParseCpu, CountsThousandths) {
  EXPECT_EQ(*ParseCpu("2"), 2'000u);
  EXPECT_EQ(*ParseCpu("0.5"), 500u);
  EXPECT_EQ(*ParseCpu("500m"), 500u);
  for (const char* text : {"", "m", "0.0005", "0.5m", "-1", "2 cores"})
    EXPECT_FALSE(ParseCpu(text).ok()) << text;
}

TEST(Formatting, IsReadBackAsTheSame) {
  for (const std::int64_t duration : {0ll, 1ll, 999ll, 1'000ll, 90'000ll, 5'400'000ll, 86'400'001ll}) {
    EXPECT_EQ(*ParseDuration(FormatDuration(milliseconds(duration))), milliseconds(duration));
  }
  for (const std::uint64_t bytes :
       {0ull, 1ull, 1'000ull, 1ull << 10, 3ull << 20, (1ull << 30) + 1, 7ull << 60}) {
    EXPECT_EQ(*ParseQuantity(FormatQuantity(bytes)), bytes);
  }
  EXPECT_EQ(FormatDuration(milliseconds(5'400'000)), "1h30m");
  EXPECT_EQ(FormatQuantity(64u << 20), "64Mi");
}

}  // namespace
}  // namespace mayfly::op
