#include "cli/top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::cli {
namespace {

using ::testing::StartsWith;

constexpr char kGateway[] =
    "mayfly_accepted_total{function=\"default/hello\"} 100\n"
    "mayfly_hold_duration_seconds_sum{function=\"default/hello\"} 1\n"
    "mayfly_inflight{function=\"default/hello\"} 3\n"
    "mayfly_held_requests{function=\"default/hello\"} 2\n"
    "mayfly_usage_cpu_seconds_total{function=\"default/hello\",trigger=\"a\"} 1\n"
    "mayfly_usage_cpu_seconds_total{function=\"default/hello\",trigger=\"b\"} 1\n"
    "mayfly_usage_memory_byte_seconds_total{function=\"default/hello\",trigger=\"a\"} 1e6\n"
    "mayfly_http_requests_total{function=\"default/other\"} 5\n";
constexpr char kGatewayLater[] =
    "mayfly_accepted_total{function=\"default/hello\"} 140\n"
    "mayfly_hold_duration_seconds_sum{function=\"default/hello\"} 1.4\n"
    "mayfly_inflight{function=\"default/hello\"} 4\n"
    "mayfly_held_requests{function=\"default/hello\"} 0\n"
    "mayfly_usage_cpu_seconds_total{function=\"default/hello\",trigger=\"a\"} 2\n"
    "mayfly_usage_cpu_seconds_total{function=\"default/hello\",trigger=\"b\"} 1\n"
    "mayfly_usage_memory_byte_seconds_total{function=\"default/hello\",trigger=\"a\"} 5e6\n";
constexpr char kOperator[] =
    "mayfly_function_replicas{function=\"default/hello\",state=\"desired\"} 2\n"
    "mayfly_function_replicas{function=\"default/hello\",state=\"ready\"} 1\n";

TEST(Top, TellsRatesBetweenTwoSamples) {
  TopSample before;
  before.Take("gw", kGateway);
  before.Take("op", kOperator);
  TopSample now;
  now.at = before.at + std::chrono::seconds(2);
  now.Take("gw", kGatewayLater);
  now.Take("op", kOperator);
  now.functions.insert("default/idle");
  const std::vector<TopRow> rows = TopRows(before, now);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].function, "default/hello");
  EXPECT_DOUBLE_EQ(rows[0].per_second, 20);
  EXPECT_NEAR(rows[0].wait_seconds, 0.01, 1e-9);
  EXPECT_DOUBLE_EQ(rows[0].cpus, 0.5);
  EXPECT_DOUBLE_EQ(rows[0].memory_bytes, 2e6);
  EXPECT_EQ(rows[0].now.in_flight, 4);
  EXPECT_EQ(rows[0].now.ready, 1);
  EXPECT_EQ(rows[0].now.desired, 2);
  EXPECT_EQ(rows[1].function, "default/idle");
  const std::string table = TopTable(rows, "default");
  EXPECT_THAT(table,
              StartsWith("NAME   READY  DESIRED  RUNNING  WAITING  PER SECOND     WAIT  CPUS  MEMORY\n"
                         "hello      1        2        4        0        20.0  10.0 ms  0.50  2.0 MB\n"
                         "idle       0        0        0        0         0.0   0.0 ms  0.00  0.0 MB\n"));
}

TEST(Top, CountsAProcessThatBeganAnewFromZeroAndForgetsOneThatHasGone) {
  TopSample before;
  before.Take("gw-1", kGatewayLater);
  before.Take("gw-2", kGateway);
  TopSample now;
  now.at = before.at + std::chrono::seconds(1);
  now.Take("gw-1", kGateway);
  const std::vector<TopRow> rows = TopRows(before, now);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_DOUBLE_EQ(rows[0].per_second, 100);
}

}  // namespace
}  // namespace mayfly::cli
