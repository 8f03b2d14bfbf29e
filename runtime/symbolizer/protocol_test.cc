#include "runtime/symbolizer/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::symbolizer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(SymbolizerProtocol, ReadsTheQuestionThatItWrites) {
  const std::vector<FileOffset> frames = {
      {0x1234, "/modules/a b.so"}, {0, ""}, {UINT64_MAX, "/lib/libc.so.6"}};
  EXPECT_EQ(ParseQuestion(WriteQuestion(frames)), frames);
}

TEST(SymbolizerProtocol, ReadsTheAnswerThatItWrites) {
  const Answer answer{3, "resize(Image const&) at src/thumbnail.cc:42"};
  EXPECT_THAT(ParseAnswers(WriteAnswer(answer), 4), ElementsAre(answer));
}

TEST(SymbolizerProtocol, AsksAboutNoPathThatWouldBreakALine) {
  const std::vector<FileOffset> frames = {
      {1, "/a\n2 /b"}, {2, std::string("/a\0b", 4)}, {3, std::string(kMaxPathBytes + 1, 'a')}};
  EXPECT_EQ(WriteQuestion(frames), "1 \n2 \n3 \n");
  EXPECT_EQ(WriteQuestion(std::vector<FileOffset>(kMaxFrames + 1)).size(), 3 * kMaxFrames);
  EXPECT_LE(WriteQuestion(std::vector<FileOffset>(kMaxFrames, {UINT64_MAX, std::string(kMaxPathBytes, 'a')}))
                .size(),
            kMaxQuestionBytes);
}

TEST(SymbolizerProtocol, KeepsTheNumbersOfFramesWhoseLinesSayNothing) {
  EXPECT_THAT(ParseQuestion("zz\n1 /a\n\n12345678901234567 /b\n2 "),
              ElementsAre(FileOffset{}, FileOffset{1, "/a"}, FileOffset{}, FileOffset{}));
}

TEST(SymbolizerProtocol, TakesFromAHostileAnswerOnlyWhatIsWellFormed) {
  EXPECT_THAT(ParseAnswers("x\n-1 a\n2 beyond\n99999999999999999999 a\n1 \n1\n\n1 good\n0 not complete", 2),
              ElementsAre(Answer{1, "good"}));
  EXPECT_THAT(ParseAnswers("", 2), IsEmpty());
}

TEST(SymbolizerProtocol, MakesAHostileAnswerPrintableAndShort) {
  EXPECT_THAT(ParseAnswers("0 a\x1b[2J\xff\t\r\n", 1), ElementsAre(Answer{0, "a?[2J???"}));
  const auto answers = ParseAnswers("0 " + std::string(100'000, 'a') + "\n", 1);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].text.size(), kMaxTextBytes);
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "0 a\n";
  EXPECT_EQ(ParseAnswers(many, 1).size(), kMaxAnswers);
}

}  // namespace
}  // namespace mayfly::symbolizer
