#include "runtime/pool/log_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "runtime/pool/spawn.h"

namespace mayfly::runtime {
namespace {

class LogReaderTest : public testing::Test {
 protected:
  LogReaderTest() : ends_(*MakeLogPipe()), reader_(std::move(ends_.first), "test/logs", "r1") {}

  // What the runtime writes when the worker has written `line`.
  std::string Written(std::string_view line) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(write(ends_.second.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    EXPECT_TRUE(reader_.ReadSome());
    return testing::internal::GetCapturedStderr();
  }

  std::pair<base::FileDescriptor, base::FileDescriptor> ends_;
  LogReader reader_;
};

TEST_F(LogReaderTest, TellsLogLinesApartByTheirNumber) {
  reader_.Given(7, "seventh", false);
  reader_.Given(8, "eighth", true);
  EXPECT_THAT(Written("\x01"
                      "17 one\n"),
              testing::HasSubstr("invocation=seventh"));
  EXPECT_THAT(Written("\x01"
                      "18 two\n"),
              testing::HasSubstr("invocation=eighth"));
  EXPECT_THAT(Written("\x01"
                      "19 three\n"),
              testing::Not(testing::HasSubstr("invocation=")));
  EXPECT_FALSE(reader_.TakePrinted());
}

TEST_F(LogReaderTest, EscapesLineBreaksOnce) {
  EXPECT_THAT(Written("\x01"
                      "17 one\\ntwo\n"),
              testing::HasSubstr("msg=\"one\\ntwo\""));
  // What was a backslash and an n is not a line break.
  EXPECT_THAT(Written("\x01"
                      "17 C:\\\\new, end\\\n"),
              testing::HasSubstr("msg=\"C:\\\\new, end\\\\\""));
}

TEST_F(LogReaderTest, GuessesNobodyForWhatIsPrintedWhileInvocationsWait) {
  reader_.Given(7, "seventh", false);
  EXPECT_THAT(Written("printed\n"), testing::HasSubstr("invocation=seventh"));
  EXPECT_TRUE(reader_.TakePrinted());
  reader_.Given(8, "eighth", true);
  EXPECT_THAT(Written("printed\n"), testing::Not(testing::HasSubstr("invocation=")));
  reader_.Given(9, "ninth", false);
  EXPECT_THAT(Written("printed\n"), testing::HasSubstr("invocation=ninth"));
}

}  // namespace
}  // namespace mayfly::runtime
