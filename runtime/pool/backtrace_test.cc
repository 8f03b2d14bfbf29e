#include "runtime/pool/backtrace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::runtime {
namespace {

using symbolizer::Answer;
using testing::ElementsAre;

std::vector<std::string> Describe(const CrashNotes& notes, const std::vector<Answer>& answers = {}) {
  return DescribeFrames(LocateFrames(notes), answers);
}

TEST(Backtrace, NamesTheFileAndTheOffsetInIt) {
  CrashNotes notes;
  notes.frames = {0x7f0000001234, 0x10};
  notes.maps = "7f0000001000-7f0000002000 r-xp 00003000 fe:00 123      /modules/thumbnail.so\n";
  EXPECT_THAT(LocateFrames(notes), ElementsAre(symbolizer::FileOffset{0x3234, "/modules/thumbnail.so"},
                                               symbolizer::FileOffset{0x10, ""}));
  EXPECT_THAT(Describe(notes), ElementsAre("#0 thumbnail.so+0x3234", "#1 0x10"));
}

TEST(Backtrace, NamesFunctionsAndThoseInlinedIntoThem) {
  CrashNotes notes;
  notes.frames = {0x10, 0x20, 0x30};
  notes.maps = "0-1000 r-xp 0 fe:00 123 /a.so\n";
  EXPECT_THAT(
      Describe(notes, {{0, "at(int) at a.h:1"}, {0, "f() at a.cc:2"}, {2, "main+0x3"}, {7, "nowhere"}}),
      ElementsAre("#0 at(int) at a.h:1 (inlined)", "#1 f() at a.cc:2 (a.so+0x10)", "#2 a.so+0x20",
                  "#3 main+0x3 (a.so+0x30)"));
}

TEST(Backtrace, BearsMapsThatAreNot) {
  for (const char* maps : {"", "\n\n", "zz", "1-", "1-2", "1-2 r-xp", "1-2 r-xp 0", "1-2 r-xp 0 /",
                           "ffffffffffffffffff-1 r-xp 0 /x"}) {
    CrashNotes notes;
    notes.frames = {0x1};
    notes.maps = maps;
    EXPECT_EQ(Describe(notes).size(), 1u) << maps;
  }
}

TEST(Backtrace, LetsNoNameBreakALine) {
  CrashNotes notes;
  notes.frames = {0x1};
  notes.maps = "1-2 r-xp 0 fe:00 1 /tmp/a\tb\x01.so";
  EXPECT_THAT(Describe(notes), ElementsAre("#0 a?b?.so+0x0"));
}

}  // namespace
}  // namespace mayfly::runtime
