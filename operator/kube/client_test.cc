#include "operator/kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kube/api_error.h"
#include "operator/kube/list.h"
#include "operator/kube/testing/fake_transport.h"

namespace mayfly::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ClientTest : public ::testing::Test {
 protected:
  std::vector<std::string> Targets() const {
    std::vector<std::string> targets;
    for (const HttpRequest& request : transport_.requests()) {
      targets.push_back(request.method + " " + request.target);
    }
    return targets;
  }

  testing::FakeTransport transport_;
  base::Metrics metrics_;
  base::RealClock clock_;
  Client client_{transport_, metrics_, clock_};
};

TEST_F(ClientTest, SendsEachPatchWithItsContentType) {
  transport_.ThenAnswer(200, "{}");
  const Target target{.space = "a", .name = "b", .subresource = ""};
  EXPECT_TRUE(client_.Patch(Pods(), target, PatchType::kMerge, "{}").ok());
  EXPECT_TRUE(client_.Patch(Pods(), target, PatchType::kJson, "[]", {.field_manager = "m"}).ok());
  EXPECT_TRUE(client_.Apply(Pods(), target, "{}", {.field_manager = "m"}).ok());
  const auto requests = transport_.requests();
  EXPECT_EQ(requests[0].content_type, "application/merge-patch+json");
  EXPECT_EQ(requests[1].content_type, "application/json-patch+json");
  EXPECT_EQ(requests[1].target, "/api/v1/namespaces/a/pods/b?fieldManager=m");
  EXPECT_EQ(requests[2].content_type, "application/apply-patch+yaml");
  EXPECT_EQ(requests[2].target, "/api/v1/namespaces/a/pods/b?fieldManager=m&force=true");
}

TEST_F(ClientTest, DeletesOnlyTheObjectThatIsMeant) {
  transport_.ThenAnswer(200, "{}");
  EXPECT_TRUE(client_
                  .Delete(Pods(), {.space = "a", .name = "b", .subresource = ""},
                          {.uid = "u", .propagation = "Background", .grace = std::chrono::seconds(5)})
                  .ok());
  const auto body = nlohmann::json::parse(transport_.requests()[0].body);
  EXPECT_EQ(body["preconditions"]["uid"], "u");
  EXPECT_EQ(body["propagationPolicy"], "Background");
  EXPECT_EQ(body["gracePeriodSeconds"], 5);
}

TEST_F(ClientTest, ComesBackWhenTheServerSaysSo) {
  transport_.ThenAnswer(429, "", std::chrono::seconds(0));
  transport_.ThenAnswer(503, "", std::chrono::seconds(0));
  transport_.ThenAnswer(200, "{}");
  EXPECT_TRUE(client_.Get(Pods(), {.space = "a", .name = "b", .subresource = ""}).ok());
  EXPECT_EQ(transport_.requests().size(), 3u);
}

TEST_F(ClientTest, DoesNotWaitLongerForTheServerThanItsCaller) {
  transport_.ThenAnswer(429, "", std::chrono::seconds(3000));
  const auto answer = client_.Get(Pods(), {.space = "a", .name = "b", .subresource = ""});
  EXPECT_TRUE(absl::IsResourceExhausted(answer.status()));
  EXPECT_EQ(ApiErrorOf(answer.status())->retry_after, std::chrono::seconds(3000));
  EXPECT_EQ(transport_.requests().size(), 1u);
}

TEST_F(ClientTest, TriesNothingAgainThatMayHaveHappened) {
  transport_.ThenFail(absl::UnavailableError("connection reset"));
  const auto answer = client_.Create(Pods(), "a", "{}");
  EXPECT_EQ(transport_.requests().size(), 1u);
  EXPECT_THAT(std::string(answer.status().message()), HasSubstr("create pods a: connection reset"));
}

TEST_F(ClientTest, CountsRequestsByOutcome) {
  transport_.ThenAnswer(404, "{}");
  EXPECT_TRUE(absl::IsNotFound(client_.Get(Pods(), {.space = "a", .name = "b", .subresource = ""}).status()));
  EXPECT_THAT(metrics_.Text(),
              HasSubstr(R"(mayfly_kube_requests_total{code="404",resource="pods",verb="get"} 1)"));
}

TEST_F(ClientTest, ReadsAListInPagesAndBeginsAgainWhenTheServerForgotIt) {
  transport_.ThenAnswer(200, R"({"metadata":{"resourceVersion":"5","continue":"c1"},"items":[{"n":1}]})");
  transport_.ThenAnswer(410, R"({"kind":"Status","code":410,"reason":"Expired"})");
  transport_.ThenAnswer(200, R"({"metadata":{"resourceVersion":"7","continue":"c2"},"items":[{"n":1}]})");
  transport_.ThenAnswer(200, R"({"metadata":{"resourceVersion":"7"},"items":[{"n":2}]})");
  std::vector<std::int64_t> seen;
  const auto version = ListAll(
      client_, Pods(), "", {.limit = 1}, [&seen] { seen.clear(); },
      [&seen](JsonView item) { seen.push_back(item["n"].Integer()); });
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "7");
  EXPECT_THAT(seen, ElementsAre(1, 2));
  EXPECT_THAT(Targets(), ElementsAre("GET /api/v1/pods?limit=1", "GET /api/v1/pods?continue=c1&limit=1",
                                     "GET /api/v1/pods?limit=1", "GET /api/v1/pods?continue=c2&limit=1"));
}

TEST_F(ClientTest, TakesAListInOnePieceThatExpiresAgainAndAgain) {
  const std::string page = R"({"metadata":{"resourceVersion":"5","continue":"c"},"items":[{}]})";
  const std::string expired = R"({"kind":"Status","code":410,"reason":"Expired"})";
  for (int i = 0; i < 2; ++i) {
    transport_.ThenAnswer(200, page);
    transport_.ThenAnswer(410, expired);
  }
  transport_.ThenAnswer(200, R"({"metadata":{"resourceVersion":"9"},"items":[{},{}]})");
  int count = 0;
  EXPECT_TRUE(ListAll(
                  client_, Pods(), "", {.limit = 1}, [&count] { count = 0; }, [&count](JsonView) { ++count; })
                  .ok());
  EXPECT_EQ(count, 2);
  EXPECT_EQ(Targets().back(), "GET /api/v1/pods");
}

TEST_F(ClientTest, EndsAWatchWithTheErrorThatTheStreamCarries) {
  transport_.ThenAnswer(
      200,
      "{\"type\":\"ADDED\",\"object\":{}}\n"
      "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Gone\"}}\n");
  int events = 0;
  const absl::Status status =
      client_.Watch(Pods(), "a", {.resource_version = "5"}, [&events](const WatchEvent&) { ++events; });
  EXPECT_EQ(events, 1);
  EXPECT_TRUE(IsExpired(status)) << status;
  EXPECT_EQ(
      Targets()[0],
      "GET "
      "/api/v1/namespaces/a/pods?allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300&watch=true");
}

TEST_F(ClientTest, RefusesAListThatIsNone) {
  transport_.ThenAnswer(200, "{}");
  EXPECT_FALSE(client_.List(Pods(), "", {}).ok());
}

}  // namespace
}  // namespace mayfly::kube
