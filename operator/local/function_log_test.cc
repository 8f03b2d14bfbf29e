#include "operator/local/function_log.h"

#include <gtest/gtest.h>

#include <thread>

namespace mayfly::op {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

TEST(LogBook, KeepsTheNewestLines) {
  LogBook book({.lines = 3, .bytes = 1'000});
  for (int i = 1; i <= 5; ++i) book.Append("default/f", "f-1", "line " + std::to_string(i));
  const std::vector<LogLine> lines = book.Tail("default/f", 10);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines.front().text, "line 3");
  EXPECT_EQ(lines.back().text, "line 5");
  EXPECT_EQ(book.Tail("default/f", 1).front().text, "line 5");
}

TEST(LogBook, IsBoundedByBytesToo) {
  LogBook book({.lines = 1'000, .bytes = 100});
  for (int i = 0; i < 50; ++i) book.Append("default/f", "f-1", std::string(40, 'x'));
  EXPECT_LE(book.Tail("default/f", 100).size(), 3u);
}

TEST(LogBook, TellsEachLineOnceToWhoFollows) {
  LogBook book({});
  book.Append("default/f", "f-1", "one");
  book.Append("default/g", "g-1", "elsewhere");
  book.Append("default/f", "f-1", "two");
  const auto soon = steady_clock::now();
  const std::vector<LogLine> first = book.After("default/f", 0, 1, soon);
  ASSERT_EQ(first.size(), 1u);
  const std::vector<LogLine> second = book.After("default/f", first.back().number, 10, soon);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second.front().text, "two");
  EXPECT_TRUE(book.After("default/f", second.back().number, 10, soon).empty());
}

TEST(LogBook, WakesWhoWaitsForALine) {
  LogBook book({});
  std::jthread writer([&book] { book.Append("default/f", "f-1", "late"); });
  EXPECT_EQ(book.After("default/f", 0, 10, steady_clock::now() + seconds(10)).size(), 1u);
}

TEST(LogBook, FollowsAFunctionThatWasForgotten) {
  LogBook book({});
  book.Append("default/f", "f-1", "old");
  const std::uint64_t last = book.Tail("default/f", 1).front().number;
  book.Forget("default/f");
  book.Append("default/f", "f-2", "new");
  EXPECT_EQ(book.After("default/f", last, 10, steady_clock::now()).size(), 1u);
}

TEST(LogBook, LetsNobodyWaitOnceClosed) {
  LogBook book({});
  std::jthread closer([&book] { book.Close(); });
  EXPECT_TRUE(book.After("default/f", 0, 10, steady_clock::now() + seconds(60)).empty());
}

}  // namespace
}  // namespace mayfly::op
