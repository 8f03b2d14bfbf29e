#include "gateway/routing/router.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace mayfly::gateway {
namespace {

v1::FunctionRoute Function(const std::string& name, const std::string& path,
                           std::vector<std::string> methods = {}) {
  v1::FunctionRoute route;
  route.set_function(name);
  v1::HttpTrigger& trigger = *route.add_http();
  trigger.set_name("web");
  trigger.set_path(path);
  for (std::string& method : methods) *trigger.add_methods() = std::move(method);
  return route;
}

std::vector<RouteProblem> Upsert(Router& router, const v1::FunctionRoute& route) {
  v1::RouteUpdate update;
  *update.add_upsert() = route;
  return router.Apply(update);
}

std::string Ask(const Router& router, std::string_view raw, std::string_view method = "GET",
                std::string_view peer = "127.0.0.1", std::string_view host = "127.0.0.1") {
  RequestPath path;
  EXPECT_TRUE(path.Parse(raw).ok());
  const RouteMatch match = router.Match(*router.Snapshot(), host, path, method, peer);
  if (match.kind == RouteMatch::Kind::kHostNotLocal) return "host not local";
  return match.route ? match.route->function() : "none";
}

TEST(Router, FollowsUpdatesRemovalsAndSnapshots) {
  Router router;
  EXPECT_TRUE(Upsert(router, Function("a/one", "/one")).empty());
  Upsert(router, Function("a/two", "/two"));
  EXPECT_EQ(Ask(router, "/one"), "a/one");
  Upsert(router, Function("a/one", "/uno"));
  EXPECT_EQ(Ask(router, "/one"), "none");
  EXPECT_EQ(Ask(router, "/uno"), "a/one");
  v1::RouteUpdate removal;
  removal.add_remove("a/one");
  router.Apply(removal);
  EXPECT_EQ(Ask(router, "/uno"), "none");
  v1::RouteUpdate snapshot;
  snapshot.set_snapshot(true);
  *snapshot.add_upsert() = Function("a/three", "/three");
  router.Apply(snapshot);
  EXPECT_EQ(Ask(router, "/two"), "none");
  EXPECT_EQ(Ask(router, "/three"), "a/three");
}

TEST(Router, TellsTheLoserOfAConflictUntilTheWinnerIsGone) {
  Router router;
  Upsert(router, Function("b/late", "/x", {"GET"}));
  const auto problems = Upsert(router, Function("a/first", "/x", {"GET", "POST"}));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].function, "b/late");
  EXPECT_EQ(problems[0].trigger, "web");
  EXPECT_EQ(problems[0].reason, "RouteConflict");
  EXPECT_NE(problems[0].message.find("a/first"), std::string::npos);
  EXPECT_EQ(Ask(router, "/x"), "a/first");
  v1::RouteUpdate removal;
  removal.add_remove("a/first");
  EXPECT_TRUE(router.Apply(removal).empty());
  EXPECT_EQ(Ask(router, "/x"), "b/late");
}

TEST(Router, TellsARouteThatItCannotUnderstand) {
  Router router;
  for (const char* path : {"nope", "/a//b", "/_mayfly/mine"}) {
    const auto problems = Upsert(router, Function("a/bad", path));
    ASSERT_EQ(problems.size(), 1u) << path;
    EXPECT_EQ(problems[0].reason, "BadRoute");
  }
  EXPECT_TRUE(Upsert(router, Function("a/bad", "/good")).empty());
}

TEST(Router, ReachesFunctionsByNameOnlyWhereThatIsOn) {
  Router closed;
  Upsert(closed, Function("a/one", "/one"));
  EXPECT_EQ(Ask(closed, "/_mayfly/functions/a/one"), "none");
  Router open(RouterOptions{.by_name = true});
  Upsert(open, Function("a/one", "/one", {"GET"}));
  EXPECT_EQ(Ask(open, "/_mayfly/functions/a/one"), "a/one");
  EXPECT_EQ(Ask(open, "/_mayfly/functions/a/one/and/more", "PUT"), "a/one");
  EXPECT_EQ(Ask(open, "/_mayfly/functions/a/two"), "none");
  EXPECT_EQ(Ask(open, "/_mayfly/functions/a"), "none");
}

TEST(Router, ReachesFunctionsByNameFromThisMachineOnlyUnlessAskedFor) {
  Router open(RouterOptions{.by_name = true});
  Upsert(open, Function("a/one", "/one"));
  for (const char* const here : {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_EQ(Ask(open, "/_mayfly/functions/a/one", "GET", here), "a/one") << here;
  }
  for (const char* const there : {"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", ""}) {
    EXPECT_EQ(Ask(open, "/_mayfly/functions/a/one", "GET", there), "none") << there;
    EXPECT_EQ(Ask(open, "/one", "GET", there), "a/one") << "by its trigger, from anywhere";
  }
  Router everybody(RouterOptions{.by_name = true, .by_name_from_anywhere = true});
  Upsert(everybody, Function("a/one", "/one"));
  EXPECT_EQ(Ask(everybody, "/_mayfly/functions/a/one", "GET", "192.0.2.1"), "a/one");
  EXPECT_EQ(Ask(everybody, "/_mayfly/functions/a/one", "GET", "192.0.2.1", "faas.example"), "a/one");
}

TEST(Router, ReachesFunctionsByNameUnderNoHostThatANameServerCouldPointHere) {
  Router open(RouterOptions{.by_name = true});
  Upsert(open, Function("a/one", "/one"));
  const std::string path = "/_mayfly/functions/a/one";
  for (const char* const local :
       {"localhost", "127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"}) {
    EXPECT_EQ(Ask(open, path, "GET", "127.0.0.1", local), "a/one") << local;
  }
  for (const char* const other :
       {"attacker.example", "127.0.0.1.attacker.example", "localhost.attacker.example", "127.evil",
        "0.0.0.0.attacker.example", "192.0.2.1", "[2001:db8::1]", "[::ffff:192.0.2.1]", "::1.example", ""}) {
    EXPECT_EQ(Ask(open, path, "GET", "127.0.0.1", other), "host not local") << other;
    EXPECT_EQ(Ask(open, "/one", "GET", "127.0.0.1", other), "a/one") << "by its trigger, under any host";
  }
  EXPECT_EQ(Ask(open, path, "GET", "192.0.2.1", "localhost"), "none") << "whatever the client says";
}

TEST(Router, RoutesTenThousandFunctionsWhileTheyChange) {
  Router router;
  v1::RouteUpdate all;
  all.set_snapshot(true);
  for (int i = 0; i < 10000; ++i)
    *all.add_upsert() = Function(fmt::format("n/f{}", i), fmt::format("/f{}/{{id}}", i));
  EXPECT_TRUE(router.Apply(all).empty());
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::jthread reader([&] {
    Router::Reader routes(router);
    RequestPath path;
    ASSERT_TRUE(path.Parse("/f4711/x").ok());
    while (!done) {
      const std::shared_ptr<const RouteTable> table = routes.table();
      const RouteMatch match = router.Match(*table, "", path, "GET", "127.0.0.1");
      if (!match.route || match.route->function() != "n/f4711") ++wrong;
    }
  });
  for (int i = 0; i < 1000; ++i) {
    Upsert(router, Function(fmt::format("n/f{}", i), fmt::format("/g{}/{{id}}", i)));
  }
  done = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Ask(router, "/g7/x"), "n/f7");
  EXPECT_EQ(Ask(router, "/f7/x"), "none");
  EXPECT_EQ(Ask(router, "/f9999/x"), "n/f9999");
}

TEST(Router, IsCompleteFromTheStartOrOnceItIsSaid) {
  EXPECT_TRUE(Router().complete());
  Router told(RouterOptions{.awaits_routes = true});
  EXPECT_FALSE(told.complete());
  Upsert(told, Function("n/f", "/f"));
  EXPECT_FALSE(told.complete()) << "others may come";
  told.RoutesComplete();
  EXPECT_TRUE(told.complete());
  Router by_snapshot(RouterOptions{.awaits_routes = true});
  v1::RouteUpdate all;
  all.set_snapshot(true);
  by_snapshot.Apply(all);
  EXPECT_TRUE(by_snapshot.complete());
}

}  // namespace
}  // namespace mayfly::gateway
