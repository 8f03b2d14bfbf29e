#include "gateway/routing/path.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace mayfly::gateway {
namespace {

// "a|b/" for /a/b/, or "refused".
std::string Normal(std::string_view raw) {
  RequestPath path;
  if (!path.Parse(raw).ok()) return "refused";
  return fmt::format("{}{}", fmt::join(path.segments(), "|"), path.trailing_slash() ? "/" : "");
}

TEST(RequestPath, IsBroughtToItsNormalForm) {
  const struct {
    std::string_view raw;
    std::string_view normal;
  } cases[] = {
      {"/", ""},
      {"/a", "a"},
      {"/a/b", "a|b"},
      {"/a/b/", "a|b/"},
      {"//a///b", "a|b"},
      {"//", ""},
      {"/./a/./b/.", "a|b/"},
      {"/a/../b", "b"},
      {"/a/b/..", "a/"},
      {"/a/..", ""},
      {"/a/%2e%2E/b", "b"},
      {"/a/%2e/b", "a|b"},
      {"/...", "..."},
      {"/.a", ".a"},
      {"/a%20b", "a b"},
      {"/caf%C3%A9", "caf\xC3\xA9"},
      {"/%61", "a"},
      {"/a%252Fb", "a%2Fb"},
      {"/a;v=1/b", "a;v=1|b"},
  };
  for (const auto& c : cases) EXPECT_EQ(Normal(c.raw), c.normal) << c.raw;
}

TEST(RequestPath, RefusesWhatOtherServersReadInTwoWays) {
  for (const std::string_view raw : {"", "a", "/%2F", "/a%2fb", "/%5C", "/a\\b", "/%00", "/%", "/%4", "/%zz",
                                     "/a b", "/..", "/a/../..", "/%2e%2e", "/a#b", "/a\tb", "/a\x7f"}) {
    EXPECT_EQ(Normal(raw), "refused") << raw;
  }
}

TEST(RequestPath, GivesTheRestWithItsTrailingSlash) {
  RequestPath path;
  ASSERT_TRUE(path.Parse("/files/a/b%20c/").ok());
  EXPECT_EQ(path.Rest(1), "a/b c/");
  EXPECT_EQ(path.Rest(3), "");
}

TEST(PathPattern, NamesItsParametersAndItsShape) {
  const auto pattern = ParsePathPattern("/users/{id}/files/{path...}");
  ASSERT_TRUE(pattern.ok());
  EXPECT_EQ(pattern->Shape(), "/users/{}/files/{...}");
  EXPECT_EQ(pattern->ParameterNames(), (std::vector<std::string>{"id", "path"}));
  EXPECT_EQ(ParsePathPattern("/")->Shape(), "/");
  EXPECT_EQ(ParsePathPattern("/a/")->Shape(), "/a");
}

TEST(PathPattern, IsRefusedWithASentence) {
  for (const std::string_view text : {"", "a", "//", "/a//b", "/{}", "/a{b}", "/{a}b", "/{a...}/b",
                                      "/{a}/{a}", "/{a b}", "/../a", "/%2Fa", "/a?b", "/{...}", "/%7Ba%7D"}) {
    const auto pattern = ParsePathPattern(text);
    EXPECT_FALSE(pattern.ok()) << text;
    EXPECT_FALSE(pattern.status().message().empty());
  }
}

}  // namespace
}  // namespace mayfly::gateway
