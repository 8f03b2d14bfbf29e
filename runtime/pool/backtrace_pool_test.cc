// What the result of a crash says about where it happened, and what finding that out costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/testing/temp_dir.h"
#include "runtime/pool/pool_testing.h"
#include "runtime/pool/worker_pool_testing.h"

namespace mayfly::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::SizeIs;

class BacktraceTest : public WorkerPoolTest {
 protected:
  void TearDown() override { pool_.reset(); }
  // A pool whose symbolizer is a shell script.
  void OpenWithSymbolizer(const std::string& script, milliseconds timeout) {
    const std::string path = folder_ / "symbolizer";
    std::ofstream(path) << "#!/bin/sh\n" << script;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    PoolOptions options = TestOptions("segv");
    options.slots = 32;
    options.symbolizer_program = path;
    options.backtrace_timeout = timeout;
    Open(options);
  }
  std::string HangingScript() const { return ": > " + folder_ / "started\nexec /bin/sleep 60\n"; }
  bool SymbolizerStarted() const {
    return Eventually([this] { return std::filesystem::exists(folder_ / "started"); });
  }
  static void ExpectOffsetsOnly(const v1::Result& result) {
    EXPECT_EQ(result.outcome(), v1::OUTCOME_CRASHED) << result.ShortDebugString();
    ASSERT_FALSE(result.backtrace().empty());
    EXPECT_THAT(result.backtrace(0), MatchesRegex("#0 segv\\.so\\+0x[0-9a-f]+"));
  }

  base::TempDir folder_;
};

TEST_F(BacktraceTest, NamesFunctionFileAndLine) {
  Open("segv");
  const v1::Result result = Run()->result();
  ASSERT_FALSE(result.backtrace().empty());
  EXPECT_THAT(result.backtrace(0), HasSubstr("#0 harm at "));
  EXPECT_THAT(result.backtrace(0), HasSubstr("tests/modules/segv.c:8 ("));
  EXPECT_THAT(result.backtrace(), Contains(MatchesRegex(".* \\(segv\\.so\\+0x[0-9a-f]+\\)")));
}

TEST_F(BacktraceTest, NamesCxxFunctionsWithTheirParameters) {
  Open("crashes_in_cxx");
  EXPECT_THAT(Run()->result().backtrace(0), HasSubstr("#0 pictures::resize(pictures::Image const&) at "));
}

TEST_F(BacktraceTest, ComesAsWellTheSecondTime) {
  Open("segv");
  const v1::Result first = Run()->result();
  const v1::Result second = Run()->result();
  EXPECT_THAT(std::vector<std::string>(second.backtrace().begin(), second.backtrace().end()),
              testing::ElementsAreArray(first.backtrace()));
}

TEST_F(BacktraceTest, SymbolizerThatHangsCostsOnlyItsDeadline) {
  OpenWithSymbolizer(HangingScript(), milliseconds(300));
  const auto begun = std::chrono::steady_clock::now();
  const v1::Result result = Run()->result();
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, milliseconds(300));
  EXPECT_LT(took, seconds(3));
  ExpectOffsetsOnly(result);
}

TEST_F(BacktraceTest, IsNotWaitedForBeyondTheInvocationsDeadline) {
  OpenWithSymbolizer(HangingScript(), seconds(60));
  ExpectOffsetsOnly(Run("", "", 1'000)->result());
}

TEST_F(BacktraceTest, NeitherTheSlotNorAnybodyElseWaitsForTheSymbolizer) {
  OpenWithSymbolizer(HangingScript(), seconds(60));
  auto crash = Begin();
  ASSERT_TRUE(SymbolizerStarted());
  EXPECT_EQ(Run("ok")->body(), "ok");
  EXPECT_EQ(crash->results(), 0);
}

TEST_F(BacktraceTest, EndingThePoolLosesNoResultThatWaitsForItsBacktrace) {
  OpenWithSymbolizer(HangingScript(), seconds(60));
  std::vector<std::shared_ptr<TestSink>> crashes{Begin()};
  ASSERT_TRUE(SymbolizerStarted());
  for (int i = 0; i < 3; ++i) crashes.push_back(Begin());
  ASSERT_TRUE(Eventually([this] { return pool_->State().busy == 0; }));
  const auto begun = std::chrono::steady_clock::now();
  pool_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
  for (const auto& crash : crashes) {
    EXPECT_EQ(crash->results(), 1);
    ExpectOffsetsOnly(crash->result());
  }
}

TEST_F(BacktraceTest, CrashesBeyondTheQueueAreToldAtOnce) {
  OpenWithSymbolizer(HangingScript(), seconds(60));
  std::vector<std::shared_ptr<TestSink>> crashes{Begin()};
  ASSERT_TRUE(SymbolizerStarted());
  for (int i = 0; i < 20; ++i) crashes.push_back(Begin());
  const auto told = [&] {
    return std::count_if(crashes.begin(), crashes.end(),
                         [](const auto& crash) { return crash->results() > 0; });
  };
  EXPECT_TRUE(Eventually([&] { return told() >= 4; }));
  EXPECT_EQ(told(), 4) << "16 wait, and the one that is being asked about";
  for (const auto& crash : crashes) {
    if (crash->results() > 0) ExpectOffsetsOnly(crash->result());
  }
}

TEST_F(BacktraceTest, DrainingWaitsForTheBacktrace) {
  OpenWithSymbolizer(HangingScript(), milliseconds(300));
  auto crash = Begin();
  ASSERT_TRUE(SymbolizerStarted());
  EXPECT_EQ(pool_->Drain(std::chrono::steady_clock::now() + seconds(10)), 0u);
  EXPECT_EQ(crash->results(), 1);
}

TEST_F(BacktraceTest, HostileAnswersAreBoundedAndCleaned) {
  OpenWithSymbolizer("while :; do printf '0 a\\033[2Jb\\377\\n77 no\\nnonsense\\n'; done\n", seconds(10));
  const v1::Result result = Run()->result();
  EXPECT_THAT(result.backtrace(), SizeIs(testing::Le(200)));
  EXPECT_THAT(result.backtrace(0), HasSubstr("#0 a?[2Jb?"));
  EXPECT_THAT(result.backtrace(), Each(Not(HasSubstr("no"))));
}

TEST_F(BacktraceTest, WithoutASymbolizerThereAreOffsets) {
  PoolOptions options = TestOptions("segv");
  options.symbolizer_program = folder_ / "absent";
  Open(options);
  ExpectOffsetsOnly(Run()->result());
  pool_.reset();
  options.symbolizer_program = "";
  Open(options);
  ExpectOffsetsOnly(Run()->result());
}

}  // namespace
}  // namespace mayfly::runtime
