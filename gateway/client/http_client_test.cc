#include "gateway/client/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <future>

#include "base/testing/eventually.h"

namespace mayfly::gateway {
namespace {

using ::testing::Contains;
using ::testing::Pair;

class HttpClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.Post("/echo", [](const httplib::Request& request, httplib::Response& response) {
      response.set_header("X-Got", request.get_header_value("X-Sent"));
      response.status = 201;
      response.set_content(request.body, "text/plain");
    });
    server_.Get("/elsewhere",
                [](const httplib::Request&, httplib::Response& response) { response.set_redirect("/echo"); });
    server_.Get("/long", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(1'000'000, 'x'), "text/plain");
    });
    server_.Get("/never",
                [this](const httplib::Request&, httplib::Response&) { released_.get_future().wait(); });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    ASSERT_TRUE(base::Eventually([this] { return server_.is_running(); }));
  }
  void TearDown() override {
    released_.set_value();
    server_.stop();
    thread_.join();
  }

  std::string Url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

  static absl::StatusOr<HttpResult> Send(HttpClient& client, HttpCall call) {
    std::promise<absl::StatusOr<HttpResult>> promise;
    client.Send(std::move(call),
                [&](absl::StatusOr<HttpResult> result) { promise.set_value(std::move(result)); });
    return promise.get_future().get();
  }

  httplib::Server server_;
  std::promise<void> released_;
  int port_ = 0;
  std::thread thread_;
};

TEST_F(HttpClientTest, SendsWhatItIsGivenAndHandsOverTheAnswer) {
  const auto client = MakeHttpClient({.loopback = true});
  const auto result = Send(*client, {.method = "POST",
                                     .url = Url("/echo"),
                                     .headers = {{"X-Sent", "a b"}},
                                     .body = std::string("a\0b", 3)});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->status, 201);
  EXPECT_EQ(result->body, std::string("a\0b", 3));
  EXPECT_THAT(result->headers, Contains(Pair("x-got", "a b")));
}

TEST_F(HttpClientTest, DoesNotFollowARedirect) {
  const auto client = MakeHttpClient({.loopback = true});
  EXPECT_EQ(Send(*client, {.url = Url("/elsewhere")})->status, 302);
}

TEST_F(HttpClientTest, KeepsNoMoreOfAnAnswerThanItIsTold) {
  const auto client = MakeHttpClient({.loopback = true});
  const auto result = Send(*client, {.url = Url("/long"), .most_answer = 100});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->body.size(), 100u);
  EXPECT_TRUE(result->cut);
}

TEST_F(HttpClientTest, GivesUpAtItsDeadline) {
  const auto client = MakeHttpClient({.loopback = true});
  EXPECT_EQ(Send(*client, {.url = Url("/never"), .timeout = std::chrono::milliseconds(50)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(HttpClientTest, ReachesNeitherThisMachineNorWhereCloudsServeCredentials) {
  const auto client = MakeHttpClient({});
  for (const std::string& url :
       {Url("/echo"), std::string("http://localhost:1/"), std::string("http://[::1]:1/"),
        std::string("http://0.0.0.0:1/"), std::string("http://[::ffff:127.0.0.1]:1/"),
        std::string("http://169.254.169.254/latest/meta-data/"), std::string("http://2852039166/"),
        std::string("http://[fe80::1]/")}) {
    EXPECT_EQ(Send(*client, {.url = url}).status().code(), absl::StatusCode::kPermissionDenied) << url;
  }
  EXPECT_EQ(Send(*MakeHttpClient({.loopback = true}), {.url = "http://169.254.169.254/"}).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(HttpClientTest, SpeaksNothingButHttp) {
  const auto client = MakeHttpClient({.loopback = true});
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1", "", "http://"})
    EXPECT_EQ(Send(*client, {.url = url}).status().code(), absl::StatusCode::kInvalidArgument) << url;
}

TEST_F(HttpClientTest, RefusesMoreThanItMayHaveUnderWayAndEndsWithTheRest) {
  std::promise<absl::StatusOr<HttpResult>> first;
  {
    const auto client = MakeHttpClient({.loopback = true, .most_at_once = 1});
    client->Send({.url = Url("/never")},
                 [&](absl::StatusOr<HttpResult> result) { first.set_value(std::move(result)); });
    EXPECT_EQ(Send(*client, {.url = Url("/echo")}).status().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(first.get_future().get().status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace mayfly::gateway
