#include "tests/chaos/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace mayfly::chaos {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class VerdictTest : public ::testing::Test {
 protected:
  static steady_clock::time_point At(int ms) {
    return steady_clock::time_point(std::chrono::hours(1)) + milliseconds(ms);
  }
  // From 0 to 10 ms.
  static Exchange Right() { return {.begin = At(0), .end = At(10), .text = ""}; }
  static Exchange Ended(Exchange::Kind kind) {
    return {.begin = At(0), .end = At(10), .end_kind = kind, .text = "text"};
  }
  static Exchange Refused(const std::string& reason, const std::string& message,
                          const std::string& id = "i") {
    return {.begin = At(0),
            .end = At(10),
            .end_kind = Exchange::kRefused,
            .status = 502,
            .text = absl::StrCat("{\"requestId\":\"", id, "\",\"component\":\"gateway\",\"reason\":\"",
                                 reason, "\",\"message\":\"", message, "\"}")};
  }
  static Kill Worker(int ms, pid_t pid = 7) {
    return {.kind = Kill::kWorker, .pid = pid, .replica = "", .before = At(ms), .after = At(ms)};
  }
  static Kill Runtime(int ms) {
    return {.kind = Kill::kRuntime, .pid = 9, .replica = "echo-3", .before = At(ms), .after = At(ms)};
  }

  std::vector<std::string> Violations(const std::vector<Exchange>& exchanges, const std::vector<Kill>& kills,
                                      const std::string& log = "") {
    StormOptions options;
    options.requests = static_cast<int>(exchanges.size());
    options.concurrency = 1;
    StormReport report;
    Verdict(options).Judge(exchanges, kills, log, report);
    return report.violations;
  }
};

TEST_F(VerdictTest, PassesRightAnswersAndWhatAKillExplains) {
  EXPECT_THAT(Violations({Right()}, {}), IsEmpty());
  EXPECT_THAT(Violations({Right(), Refused("WorkerKilled", "m")}, {Worker(5)}), IsEmpty());
  EXPECT_THAT(Violations({Refused("ReplicaLost", "replica echo-3 was lost")}, {Runtime(5)}), IsEmpty());
}

TEST_F(VerdictTest, SeesWhatIsWrongHungOrCut) {
  EXPECT_THAT(Violations({Ended(Exchange::kWrong)}, {}), ElementsAre(HasSubstr("wrong answer")));
  EXPECT_THAT(Violations({Ended(Exchange::kHung)}, {}), ElementsAre(HasSubstr("hang")));
  EXPECT_THAT(Violations({Ended(Exchange::kCut)}, {}), ElementsAre(HasSubstr("connection cut")));
}

TEST_F(VerdictTest, SeesAnAnswerThatIsLateThoughRight) {
  Exchange late = Right();
  late.end = At(7'001);
  EXPECT_THAT(Violations({late}, {}), ElementsAre(HasSubstr("late")));
}

TEST_F(VerdictTest, SeesFailuresThatNoKillExplains) {
  const Exchange worker = Refused("WorkerKilled", "m");
  EXPECT_THAT(Violations({worker}, {Worker(11)}), ElementsAre(HasSubstr("its worker was not killed")));
  EXPECT_THAT(Violations({worker}, {Worker(5, 7)}, "x invocation=i pid=8 reason=WorkerKilled\n"),
              ElementsAre(HasSubstr("its worker was not killed")));
  EXPECT_THAT(Violations({Refused("ReplicaLost", "replica echo-4 was lost")}, {Runtime(5)}),
              ElementsAre(HasSubstr("its runtime was not killed")));
  EXPECT_THAT(Violations({Refused("ReplicaLost", "replica echo-3 was lost")}, {Runtime(-200)}),
              ElementsAre(HasSubstr("not killed while it was under way")));
}

TEST_F(VerdictTest, SeesMoreLossThanAKillCanCost) {
  const std::string log =
      "x invocation=i pid=7 reason=WorkerKilled\nx invocation=j pid=7 reason=WorkerKilled\n";
  EXPECT_THAT(Violations({Refused("WorkerKilled", "m", "i"), Refused("WorkerKilled", "m", "j")},
                         {Worker(5), Worker(5, 8)}, log),
              ElementsAre(HasSubstr("lost with one worker")));
  const Exchange lost = Refused("ReplicaLost", "replica echo-3 was lost");
  EXPECT_THAT(Violations({lost, lost}, {Runtime(5)}), ElementsAre(HasSubstr("lost with one runtime")));
}

TEST_F(VerdictTest, SeesOtherStatusesReasonsAndBodies) {
  Exchange status = Refused("WorkerKilled", "m");
  status.status = 500;
  EXPECT_THAT(Violations({status}, {Worker(5)}), ElementsAre(HasSubstr("status")));
  EXPECT_THAT(Violations({Refused("NotReadyInTime", "m")}, {}), ElementsAre(HasSubstr("reason")));
  EXPECT_THAT(Violations({Ended(Exchange::kRefused)}, {}), ElementsAre(HasSubstr("no clean error")));
}

}  // namespace
}  // namespace mayfly::chaos
