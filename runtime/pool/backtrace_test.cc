#include "runtime/pool/backtrace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::runtime {
namespace {

using testing::ElementsAre;

TEST(Backtrace, NamesTheFileAndTheOffsetInIt) {
  CrashNotes notes;
  notes.frames = {0x7f0000001234, 0x10};
  notes.maps = "7f0000001000-7f0000002000 r-xp 00003000 fe:00 123      /modules/thumbnail.so\n";
  EXPECT_THAT(DescribeFrames(notes), ElementsAre("thumbnail.so+0x3234", "0x10"));
}

TEST(Backtrace, BearsMapsThatAreNot) {
  for (const char* maps : {"", "\n\n", "zz", "1-", "1-2", "1-2 r-xp", "1-2 r-xp 0", "1-2 r-xp 0 /",
                           "ffffffffffffffffff-1 r-xp 0 /x"}) {
    CrashNotes notes;
    notes.frames = {0x1};
    notes.maps = maps;
    EXPECT_EQ(DescribeFrames(notes).size(), 1u) << maps;
  }
}

TEST(Backtrace, LetsNoNameBreakALine) {
  CrashNotes notes;
  notes.frames = {0x1};
  notes.maps = "1-2 r-xp 0 fe:00 1 /tmp/a\tb\x01.so";
  EXPECT_THAT(DescribeFrames(notes), ElementsAre("a?b?.so+0x0"));
}

}  // namespace
}  // namespace mayfly::runtime
