// The examples, run as users would unit test them: the shared object that Mayfly gets, without Mayfly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "mayfly/testing.hpp"

namespace {

using mayfly::testing::Answer;
using mayfly::testing::Module;
using mayfly::testing::Request;
using nlohmann::json;

Module Open(const std::string& name) { return Module::Open(MAYFLY_EXAMPLE_DIR "/" + name + ".so"); }

TEST(Hello, GreetsTheQueryTheBodyAndTheWorld) {
  for (const std::string name : {"hello", "hello-c"}) {
    SCOPED_TRACE(name);
    const Module module = Open(name);
    auto hello = module.Create("hello");
    Request request;
    EXPECT_EQ(hello.Invoke(request).body, "Hello, world!\n");
    request.body = "Ada";
    EXPECT_EQ(hello.Invoke(request).body, "Hello, Ada!\n");
    request.query = "name=Grace&x=1";
    const Answer answer = hello.Invoke(request);
    EXPECT_TRUE(answer.ok) << answer.failure;
    EXPECT_EQ(answer.body, "Hello, Grace!\n");
    EXPECT_EQ(answer.content_type, "text/plain; charset=utf-8");
  }
}

TEST(Echo, TellsEverythingThatItSaw) {
  const Module module = Open("echo");
  Request request;
  request.method = "PUT";
  request.path = "/echo/a/b";
  request.query = "c=d";
  request.headers = {{"accept", "*/*"}, {"x-twice", "1"}, {"x-twice", "2"}};
  request.parameters = {{"rest", "a/b"}};
  request.attributes = {{"tenant", "acme"}};
  request.subject = "s";
  request.body = "h\xC3\xA9llo";
  const Answer answer = module.Create().Invoke(request);
  ASSERT_TRUE(answer.ok) << answer.failure;
  EXPECT_EQ(answer.content_type, "application/json");
  const json seen = json::parse(answer.body);
  EXPECT_EQ(seen["invocation"], "test-invocation");
  EXPECT_EQ(seen["attempt"], 1);
  EXPECT_EQ(seen["http"]["method"], "PUT");
  EXPECT_EQ(seen["http"]["path"], "/echo/a/b");
  EXPECT_EQ(seen["http"]["query"], "c=d");
  EXPECT_EQ(seen["http"]["headers"][2], json({{"name", "x-twice"}, {"value", "2"}}));
  EXPECT_EQ(seen["http"]["parameters"][0], json({{"name", "rest"}, {"value", "a/b"}}));
  EXPECT_EQ(seen["event"]["subject"], "s");
  EXPECT_EQ(seen["event"]["attributes"][0], json({{"name", "tenant"}, {"value", "acme"}}));
  EXPECT_EQ(seen["body"], "h\xC3\xA9llo");
  EXPECT_EQ(seen["bodySize"], 6);
}

TEST(Echo, ShowsBytesThatAreNoTextAsBase64) {
  const Module module = Open("echo");
  Request request;
  request.is_http = false;
  const std::string bytes("\xff\x00\x10z", 4);
  const std::string expected[] = {"/w==", "/wA=", "/wAQ", "/wAQeg=="};
  for (std::size_t size = 1; size <= bytes.size(); size++) {
    request.body = bytes.substr(0, size);
    const json seen = json::parse(module.Create().Invoke(request).body);
    EXPECT_EQ(seen["bodyBase64"], expected[size - 1]);
    EXPECT_FALSE(seen.contains("body"));
    EXPECT_FALSE(seen.contains("http"));
  }
}

TEST(Echo, AnswersWhateverBytesAHeaderHolds) {
  Request request;
  request.headers = {{"x-latin", "caf\xe9"}};
  const Answer answer = Open("echo").Create().Invoke(request);
  EXPECT_TRUE(answer.ok) << answer.failure;
  EXPECT_TRUE(json::accept(answer.body));
}

TEST(Echo, GivesTheBodyBackRaw) {
  Request request;
  request.query = "raw";
  request.body = std::string("\x00\xff", 2);
  EXPECT_EQ(Open("echo").Create().Invoke(request).content_type, "application/octet-stream");
  request.headers = {{"content-type", "image/x-test"}};
  const Answer answer = Open("echo").Create().Invoke(request);
  EXPECT_EQ(answer.body, request.body);
  EXPECT_EQ(answer.content_type, "image/x-test");
}

}  // namespace
