// A short storm; `make chaos` has the long one.
#include "tests/chaos/storm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::chaos {
namespace {

using std::chrono::milliseconds;
using ::testing::IsEmpty;

StormOptions Short() {
  StormOptions options;
  options.requests = 10'000;
  options.longest_handler = milliseconds(20);
  options.kill_worker_every = milliseconds(50);
  options.kill_runtime_every = milliseconds(500);
  return options;
}

TEST(StormTest, OnlyWhatAKilledWorkerOrRuntimeHadFailsAndNothingIsLeft) {
  const StormReport report = RunStorm(Short());
  EXPECT_THAT(report.violations, IsEmpty());
  EXPECT_GT(report.workers_killed, 10);
  EXPECT_GT(report.runtimes_killed, 1);
}

TEST(StormTest, RequestsOutlastTheDeathOfTheirFunctionsOnlyReplica) {
  StormOptions options = Short();
  options.concurrency = 64;
  options.max_replicas = 1;
  // One that dies sooner than this after its start is started again later and later.
  options.kill_runtime_every = milliseconds(700);
  options.seed = 2;
  const StormReport report = RunStorm(options);
  EXPECT_THAT(report.violations, IsEmpty());
  EXPECT_GT(report.runtimes_killed, 1);
  EXPECT_LT(report.longest_silence, milliseconds(2'000));
}

}  // namespace
}  // namespace mayfly::chaos
