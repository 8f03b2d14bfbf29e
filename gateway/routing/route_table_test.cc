#include "gateway/routing/route_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <optional>

namespace mayfly::gateway {
namespace {

std::shared_ptr<const v1::FunctionRoute> Route(const std::string& function) {
  auto route = std::make_shared<v1::FunctionRoute>();
  route->set_function(function);
  return route;
}

void Add(RouteTable& table, std::string_view host, std::string_view path, std::vector<std::string> methods,
         const std::string& function) {
  table.Claim(host, *ParsePathPattern(path), std::move(methods), Route(function));
}

// "function k=v …", "404" or "405 GET,POST".
std::string Ask(const RouteTable& table, std::string_view method, std::string_view host,
                std::string_view raw) {
  RequestPath path;
  EXPECT_TRUE(path.Parse(raw).ok());
  const RouteMatch match = table.Match(host, path, method);
  if (match.kind == RouteMatch::Kind::kNotFound) return "404";
  std::string answer;
  if (match.kind == RouteMatch::Kind::kMethodNotAllowed) {
    answer = "405";
    for (const std::string& allowed : match.allow) answer += fmt::format(" {}", allowed);
    return answer;
  }
  answer = match.route->function();
  for (const auto& [name, value] : match.parameters) answer += fmt::format(" {}={}", name, value);
  return answer;
}

TEST(RouteTable, PrefersTheMostSpecificClaim) {
  RouteTable table;
  Add(table, "", "/", {}, "root");
  Add(table, "", "/users/{id}", {}, "user");
  Add(table, "", "/users/me", {}, "me");
  Add(table, "", "/users/{id}/files/{path...}", {}, "files");
  Add(table, "", "/{all...}", {}, "all");
  Add(table, "api.example.com", "/users/{id}", {}, "api");
  Add(table, "*.example.com", "/users/{id}", {}, "sub");
  Add(table, "*.b.example.com", "/users/{id}", {}, "subsub");
  EXPECT_EQ(Ask(table, "GET", "x", "/"), "root");
  EXPECT_EQ(Ask(table, "GET", "x", "/users/7"), "user id=7");
  EXPECT_EQ(Ask(table, "GET", "x", "/users/me"), "me");
  EXPECT_EQ(Ask(table, "GET", "x", "/users/me/"), "me");
  EXPECT_EQ(Ask(table, "GET", "x", "/users/me/files/a/b"), "files id=me path=a/b");
  EXPECT_EQ(Ask(table, "GET", "x", "/users/me/files"), "files id=me path=");
  EXPECT_EQ(Ask(table, "GET", "x", "/other/way"), "all all=other/way");
  EXPECT_EQ(Ask(table, "GET", "api.example.com", "/users/7"), "api id=7");
  EXPECT_EQ(Ask(table, "GET", "a.example.com", "/users/7"), "sub id=7");
  EXPECT_EQ(Ask(table, "GET", "a.b.example.com", "/users/7"), "subsub id=7");
  EXPECT_EQ(Ask(table, "GET", "example.com", "/users/7"), "user id=7");
  // The exact host has no such path, so a less specific one answers.
  EXPECT_EQ(Ask(table, "GET", "api.example.com", "/users/me/files/x"), "files id=me path=x");
}

TEST(RouteTable, PassesOverAClaimThatDoesNotTakeTheMethod) {
  RouteTable table;
  Add(table, "", "/users/me", {"POST"}, "post-me");
  Add(table, "", "/users/{id}", {"GET", "DELETE"}, "get-user");
  EXPECT_EQ(Ask(table, "POST", "", "/users/me"), "post-me");
  EXPECT_EQ(Ask(table, "GET", "", "/users/me"), "get-user id=me");
  EXPECT_EQ(Ask(table, "HEAD", "", "/users/7"), "get-user id=7");
  EXPECT_EQ(Ask(table, "PUT", "", "/users/me"), "405 DELETE GET HEAD POST");
  EXPECT_EQ(Ask(table, "PUT", "", "/users/7"), "405 DELETE GET HEAD");
  EXPECT_EQ(Ask(table, "GET", "", "/users"), "404");
}

TEST(RouteTable, PrefersANamedMethodAndThenTheFirstName) {
  RouteTable table;
  Add(table, "", "/a", {}, "any-b");
  Add(table, "", "/a", {}, "any-a");
  Add(table, "", "/a", {"GET"}, "get-z");
  Add(table, "", "/a", {"GET"}, "get-y");
  EXPECT_EQ(Ask(table, "GET", "", "/a"), "get-y");
  EXPECT_EQ(Ask(table, "POST", "", "/a"), "any-a");
  table.Unclaim("", *ParsePathPattern("/a"), "get-y");
  EXPECT_EQ(Ask(table, "GET", "", "/a"), "get-z");
}

TEST(RouteTable, LeavesCopiesAsTheyAre) {
  RouteTable table;
  Add(table, "", "/a/b", {}, "first");
  const RouteTable old = table;
  table.Unclaim("", *ParsePathPattern("/a/b"), "first");
  Add(table, "", "/a/{x}", {}, "second");
  EXPECT_EQ(Ask(old, "GET", "", "/a/b"), "first");
  EXPECT_EQ(Ask(table, "GET", "", "/a/b"), "second x=b");
}

// A matcher that tries every claim against the path, for comparison.
struct NaiveClaim {
  PathPattern pattern;
  std::string method;
  std::string function;
};

std::optional<std::string> RankOf(const PathPattern& pattern, const RequestPath& path) {
  std::string rank;
  for (std::size_t i = 0; i <= pattern.segments.size(); ++i) {
    const bool end = i == pattern.segments.size();
    if (!end && pattern.segments[i].kind == PathPattern::Kind::kRest) return rank + 'r';
    if (end) return path.segments().size() == i ? std::optional(rank + 'a') : std::nullopt;
    if (i >= path.segments().size()) return std::nullopt;
    if (pattern.segments[i].kind == PathPattern::Kind::kParameter) {
      rank += 'p';
    } else if (pattern.segments[i].text == path.segments()[i]) {
      rank += 'l';
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::string NaiveAnswer(const std::vector<NaiveClaim>& claims, const RequestPath& path,
                        const std::string& method) {
  std::optional<std::pair<std::string, std::string>> best;
  bool any = false;
  for (const NaiveClaim& claim : claims) {
    const std::optional<std::string> rank = RankOf(claim.pattern, path);
    if (!rank) continue;
    any = true;
    std::string full = *rank;
    if (claim.method == method) {
      full += '0';
    } else if (claim.method == "GET" && method == "HEAD") {
      full += '1';
    } else if (claim.method.empty()) {
      full += '2';
    } else {
      continue;
    }
    if (!best || std::tie(full, claim.function) < std::tie(best->first, best->second))
      best = {full, claim.function};
  }
  if (best) return best->second;
  return any ? "405" : "404";
}

TEST(RouteTable, AgreesWithANaiveMatcherOnAnyRoutesAndPaths) {
  const auto word = rc::gen::elementOf(std::vector<std::string>{"a", "b", "c"});
  const auto method = rc::gen::elementOf(std::vector<std::string>{"", "GET", "POST", "HEAD"});
  const bool holds = rc::check([&] {
    RouteTable table;
    std::vector<NaiveClaim> claims;
    const int count = *rc::gen::inRange(0, 12);
    for (int i = 0; i < count; ++i) {
      std::string text;
      const int depth = *rc::gen::inRange(0, 4);
      for (int d = 0; d < depth; ++d) {
        const int kind = *rc::gen::inRange(0, 5);
        if (kind < 3) text += fmt::format("/{}", *word);
        if (kind == 3) text += fmt::format("/{{p{}}}", d);
        if (kind == 4) {
          text += fmt::format("/{{r...}}");
          break;
        }
      }
      if (text.empty()) text = "/";
      const NaiveClaim claim{*ParsePathPattern(text), *method, fmt::format("f{}", *rc::gen::inRange(0, 100))};
      Add(table, "", text, claim.method.empty() ? std::vector<std::string>{} : std::vector{claim.method},
          claim.function);
      claims.push_back(claim);
    }
    // Some are taken back.
    for (int i = *rc::gen::inRange(0, 3); i > 0 && !claims.empty(); --i) {
      const NaiveClaim gone = claims.back();
      table.Unclaim("", gone.pattern, gone.function);
      std::erase_if(claims, [&](const NaiveClaim& claim) {
        return claim.function == gone.function && claim.pattern.Shape() == gone.pattern.Shape();
      });
    }
    for (int i = 0; i < 8; ++i) {
      std::string raw;
      const int depth = *rc::gen::inRange(0, 5);
      for (int d = 0; d < depth; ++d) raw += fmt::format("/{}", *word);
      if (raw.empty()) raw = "/";
      RequestPath path;
      RC_ASSERT(path.Parse(raw).ok());
      const std::string asked = *rc::gen::elementOf(std::vector<std::string>{"GET", "POST", "HEAD", "PUT"});
      const RouteMatch match = table.Match("", path, asked);
      const std::string expected = NaiveAnswer(claims, path, asked);
      const std::string got = match.kind == RouteMatch::Kind::kFound      ? match.route->function()
                              : match.kind == RouteMatch::Kind::kNotFound ? "404"
                                                                          : "405";
      RC_ASSERT(got == expected);
    }
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace mayfly::gateway
