#include "operator/simulation/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace mayfly::op {
namespace {

using testing::HasSubstr;

absl::StatusOr<Workload> Read(const std::string& csv) {
  std::istringstream text(csv);
  return ReadTrace(text, "load.csv", 0.1, 1);
}

TEST(WorkloadTest, ReadsATracesRowsWithOrWithoutAHeader) {
  const absl::StatusOr<Workload> workload =
      Read("seconds,requests,milliseconds\n# monday\n0, 10, 500\n\n60,5\n120,0\n");
  ASSERT_TRUE(workload.ok()) << workload.status();
  ASSERT_EQ(workload->requests.size(), 15u);
  EXPECT_EQ(workload->length, 180);
  for (std::size_t n = 0; n < 15; ++n) {
    const SimRequest& request = workload->requests[n];
    EXPECT_FLOAT_EQ(request.seconds, n < 10 ? 0.5F : 0.1F);
    EXPECT_EQ(request.at >= 60, n >= 10);
    if (n > 0) {
      EXPECT_LE(workload->requests[n - 1].at, request.at);
    }
  }
}

TEST(WorkloadTest, NamesTheLineThatIsWrongAndHowToMendIt) {
  const std::pair<const char*, const char*> wrong[] = {
      {"0,1\n5\n", "load.csv:2: has 1 fields; write seconds,requests"},
      {"0,1\n5,x\n", "load.csv:2: \"x\" is not a number of requests"},
      {"0,1\nx,5\n", "load.csv:2: \"x\" is not a time"},
      {"nan,1\n", "load.csv:1: \"nan\" is not a time"},
      {"5,1\n5,1\n", "load.csv:2: is not later than the row before it"},
      {"0,1,0\n", "load.csv:1: \"0\" is not a duration"},
      {"0,4000000\n1,4000000\n", "load.csv:2: makes more than 5000000 requests"},
      {"seconds,requests\n", "load.csv: has no rows"},
  };
  for (const auto& [csv, sentence] : wrong) {
    const absl::StatusOr<Workload> workload = Read(csv);
    ASSERT_FALSE(workload.ok()) << csv;
    EXPECT_THAT(std::string(workload.status().message()), HasSubstr(sentence)) << csv;
  }
}

TEST(WorkloadTest, MakesEachPatternTheSameForTheSameSeed) {
  for (const std::string& name : PatternNames()) {
    const absl::StatusOr<Workload> once = MakePattern(name, 0.2, 7), again = MakePattern(name, 0.2, 7);
    ASSERT_TRUE(once.ok() && again.ok()) << name;
    ASSERT_EQ(once->requests.size(), again->requests.size()) << name;
    ASSERT_FALSE(once->requests.empty()) << name;
    EXPECT_LT(once->requests.back().at, once->length) << name;
  }
  EXPECT_THAT(std::string(MakePattern("waves", 0.2, 7).status().message()),
              HasSubstr("use one of step, ramp"));
}

TEST(WorkloadTest, MakesAsManyAtOnceAsThePatternSays) {
  const absl::StatusOr<Workload> step = MakePattern("step", 0.5, 3);
  ASSERT_TRUE(step.ok());
  // 50 at once for 540 s, of half a second each.
  EXPECT_NEAR(static_cast<double>(step->requests.size()), 540 * 50 / 0.5, 1'500);
}

}  // namespace
}  // namespace mayfly::op
