#include "gateway/delivery/trigger_reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class TriggerReporterTest : public testing::Test {
 protected:
  TriggerReporterTest() {
    reporter_.OnReport([this](const std::vector<v1::TriggerReport>& reports) {
      for (const v1::TriggerReport& report : reports) {
        told_.push_back(report.gone()                                       ? "gone"
                        : !report.problem().empty()                         ? report.problem()
                        : report.kind() == v1::TriggerReport::BACKLOG_VALUE ? std::to_string(report.backlog())
                                                                            : "unknown");
      }
    });
  }
  void Look(std::uint64_t backlog, const std::string& problem = "") {
    v1::TriggerReport report;
    report.set_kind(v1::TriggerReport::BACKLOG_VALUE);
    report.set_backlog(backlog);
    report.set_problem(problem);
    reporter_.Look(key_, report);
  }
  // What is told when `time` has passed.
  std::vector<std::string> Pass(milliseconds time) {
    told_.clear();
    now_ += time;
    next_ = reporter_.Send(now_);
    return told_;
  }

  const TriggerKey key_{"default/f", "queue"};
  TriggerReporter reporter_;
  base::MonotonicTime now_{seconds(100)};
  std::optional<base::MonotonicTime> next_;
  std::vector<std::string> told_;
};

TEST_F(TriggerReporterTest, TellsAtOnceThatABacklogLeavesZero) {
  Look(0);
  EXPECT_THAT(Pass(milliseconds(0)), ElementsAre("0"));
  EXPECT_EQ(next_, std::nullopt) << "at rest";
  Look(5);
  EXPECT_THAT(Pass(milliseconds(1)), ElementsAre("5"));
}

TEST_F(TriggerReporterTest, GathersWhatChangesAndRepeatsWhatWaits) {
  Look(5);
  Pass(milliseconds(0));
  Look(6);
  Look(7);
  EXPECT_THAT(Pass(milliseconds(50)), IsEmpty());
  EXPECT_THAT(Pass(milliseconds(50)), ElementsAre("7"));
  EXPECT_THAT(Pass(milliseconds(999)), IsEmpty());
  EXPECT_THAT(Pass(milliseconds(1)), ElementsAre("7"));
  Look(0);
  EXPECT_THAT(Pass(milliseconds(100)), ElementsAre("0"));
  EXPECT_THAT(Pass(seconds(10)), IsEmpty());
}

TEST_F(TriggerReporterTest, RepeatsThatABacklogIsNotKnown) {
  reporter_.Look(key_, v1::TriggerReport());
  EXPECT_THAT(Pass(milliseconds(0)), ElementsAre("unknown"));
  EXPECT_THAT(Pass(seconds(1)), ElementsAre("unknown"));
}

TEST_F(TriggerReporterTest, TellsAtOnceThatAProblemComesAndGoes) {
  Look(1);
  Pass(milliseconds(0));
  Look(1, "no such stream");
  EXPECT_THAT(Pass(milliseconds(1)), ElementsAre("no such stream"));
  Look(1);
  EXPECT_THAT(Pass(milliseconds(1)), ElementsAre("1"));
}

TEST_F(TriggerReporterTest, TellsOnceThatATriggerIsGone) {
  Look(3);
  Pass(milliseconds(0));
  reporter_.Gone(key_);
  EXPECT_THAT(Pass(milliseconds(0)), ElementsAre("gone"));
  EXPECT_THAT(Pass(seconds(2)), IsEmpty());
  reporter_.Gone(key_);
  EXPECT_THAT(Pass(seconds(2)), IsEmpty());
}

}  // namespace
}  // namespace mayfly::gateway
