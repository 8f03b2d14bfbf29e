#include "base/utf8.h"

#include <gtest/gtest.h>

namespace mayfly::base {
namespace {

constexpr const char* kReplacement = "\xef\xbf\xbd";

TEST(Utf8, KnowsEveryCharacterFromBytesThatOnlyLookLikeOne) {
  for (const char* good :
       {"", "plain", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\xaa\xb0", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"})
    EXPECT_TRUE(IsUtf8(good)) << good;
  for (const char* bad : {"\xff", "\x80", "caf\xe9", "\xc3", "\xc0\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                          "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xe2\x82", "\xe2\x28\xa1"})
    EXPECT_FALSE(IsUtf8(bad));
  EXPECT_EQ(FindInvalidUtf8("\xc3\xa9\xff"), 2u);
}

TEST(Utf8, ReplacesEachByteThatBelongsToNoCharacter) {
  EXPECT_EQ(CleanUtf8("caf\xe9"), std::string("caf") + kReplacement);
  EXPECT_EQ(CleanUtf8("\xff\xc3\xa9\xe2\x82"),
            std::string(kReplacement) + "\xc3\xa9" + kReplacement + kReplacement);
  std::string all;
  for (int i = 0; i < 512; ++i) all += static_cast<char>(i * 7);
  EXPECT_TRUE(IsUtf8(CleanUtf8(all)));
  const std::string zeros("a\0b", 3);
  EXPECT_EQ(CleanUtf8(zeros), zeros);
}

TEST(Utf8, CutsBetweenCharacters) {
  EXPECT_EQ(CutUtf8("short", 5), "short");
  EXPECT_EQ(CutUtf8("a\xc3\xa9z", 2), "a");
  EXPECT_EQ(CutUtf8("a\xc3\xa9z", 3), "a\xc3\xa9");
  EXPECT_EQ(CutUtf8("\xf0\x9f\xaa\xb0", 3), "");
  EXPECT_EQ(CutUtf8("abc", 0), "");
  // What is no UTF-8 anyway is cut anywhere.
  EXPECT_EQ(CutUtf8("\x80\x80\x80\x80\x80\x80", 5).size(), 5u);
}

}  // namespace
}  // namespace mayfly::base
