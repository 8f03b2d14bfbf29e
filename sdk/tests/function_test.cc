#include "mayfly/function.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mayfly/testing.hpp"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Answer = mayfly::testing::Answer;
using Request = mayfly::testing::Request;

class FunctionTest : public ::testing::Test {
 protected:
  Answer Invoke(std::string_view handler, const Request& request) {
    return module_.Create(handler).Invoke(request);
  }
  Answer Misbehave(const std::string& how) {
    Request request;
    request.query = "how=" + how;
    return Invoke("misbehave", request);
  }

  mayfly::testing::Module module_{&mayfly_module_v1};
};

TEST_F(FunctionTest, DescribesItsHandlersInOrder) {
  EXPECT_THAT(module_.Handlers(), ElementsAre("greet", "describe", "count", "misbehave", "counter", "alone"));
  EXPECT_EQ(module_.raw().size, sizeof(mayfly_module));
  EXPECT_EQ(module_.raw().handlers[0]->flags, 0u);
  EXPECT_EQ(module_.raw().handlers[5]->flags, MAYFLY_NO_FORK);
  EXPECT_EQ(module_.raw().handlers[0]->create, nullptr);
  EXPECT_EQ(module_.raw().handlers[5]->after_fork, nullptr);
}

TEST_F(FunctionTest, AnswersWithTheReplyThatAHandlerReturns) {
  Request request;
  request.query = "x=1&name=J%C3%B8rn+%26+co&name=second";
  const Answer answer = Invoke("greet", request);
  EXPECT_TRUE(answer.ok) << answer.failure;
  EXPECT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.body, "Hello, J\xC3\xB8rn & co!");
  EXPECT_EQ(answer.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(answer.Header("x-greeted"), "yes");
}

TEST_F(FunctionTest, KeepsWhatIsNoPercentEncoding) {
  Request request;
  request.query = "name=100%&name%3D=2";
  EXPECT_EQ(Invoke("greet", request).body, "Hello, 100%!");
  request.query = "name=%zz%4";
  EXPECT_EQ(Invoke("greet", request).body, "Hello, %zz%4!");
  request.query = "name";
  EXPECT_EQ(Invoke("greet", request).body, "Hello, !");
  request.query = "&&";
  EXPECT_EQ(Invoke("greet", request).body, "Hello, world!");
}

TEST_F(FunctionTest, LogsPartsOfEveryKindAsOneLine) {
  (void)Invoke("greet", Request());
  const auto lines = module_.TakeLog();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, MAYFLY_INFO);
  EXPECT_EQ(lines[0].text, "greeting test-invocation 7 1.5 true");
}

TEST_F(FunctionTest, ShowsHeadersParametersAndAttributesInAnyCase) {
  Request request;
  request.method = "PUT";
  request.path = "/users/7";
  request.headers = {{"accept", "*/*"}, {"content-type", "text/css"}};
  request.parameters = {{"id", "7"}};
  request.attributes = {{"tenant", "acme"}};
  request.body = std::string("a\0b", 3);
  request.attempt = 3;
  const Answer answer = Invoke("describe", request);
  EXPECT_EQ(answer.status, 201u);
  EXPECT_EQ(answer.body, std::string("accept:*/*;content-type:text/css;text/css;7;acme;PUT /users/7 ") +
                             std::string("a\0b", 3));
  EXPECT_EQ(answer.Header("x-attempt"), "3");
}

TEST_F(FunctionTest, EndsAStreamThatGoesOutOfScope) {
  const Answer answer = Invoke("count", Request());
  EXPECT_TRUE(answer.ok) << answer.failure;
  EXPECT_TRUE(answer.streamed);
  EXPECT_EQ(answer.body, "01234");
}

TEST_F(FunctionTest, LeavesAStreamUnfinishedIfAnExceptionEndsIt) {
  Request request;
  request.query = "throw";
  const Answer answer = Invoke("count", request);
  EXPECT_FALSE(answer.ok);
  EXPECT_EQ(answer.failure, "thrown while streaming");
}

TEST_F(FunctionTest, TurnsExceptionsIntoFailedInvocations) {
  EXPECT_EQ(Misbehave("throw").failure, "the disk is full");
  EXPECT_EQ(Misbehave("throw").result, 0);
  EXPECT_FALSE(Misbehave("throw").ok);
  EXPECT_EQ(Misbehave("throw_int").failure, "something was thrown that is no std::exception");
  EXPECT_EQ(Misbehave("fail").failure, "said so");
}

TEST_F(FunctionTest, NamesTheCallThatBrokeARule) {
  EXPECT_THAT(Misbehave("bad_header").failure, HasSubstr("adding the header"));
  EXPECT_THAT(Misbehave("bad_status").failure, HasSubstr("answering with status 999"));
  const Answer twice = Misbehave("twice");
  EXPECT_FALSE(twice.ok);
  EXPECT_NE(twice.result, 0);
  EXPECT_THAT(module_.TakeLog().at(0).text, HasSubstr("answering with status 200"));
}

TEST_F(FunctionTest, FailsAnInvocationThatHasNoAnswer) {
  const Answer answer = Misbehave("");
  EXPECT_FALSE(answer.ok);
  EXPECT_EQ(answer.failure, "the handler returned without an answer");
}

TEST_F(FunctionTest, MakesAHandlerClassOncePerInstance) {
  auto counter = module_.Create("counter", R"({"a":1})");
  counter.AfterFork();
  EXPECT_EQ(counter.Invoke(Request()).body, R"({"a":1} 1 1)");
  EXPECT_EQ(counter.Invoke(Request()).body, R"({"a":1} 2 1)");
  EXPECT_EQ(counter.Invoke(Request()).content_type, "application/json");
}

TEST_F(FunctionTest, RefusesARevisionWithTheTextOfItsConstructor) {
  try {
    (void)module_.Create("counter", "[]");
    FAIL() << "create() must refuse";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "config must be a mapping, not a list");
  }
  auto instance = module_.Create("counter", "\"no fork\"");
  EXPECT_THROW(instance.AfterFork(), std::runtime_error);
}

TEST_F(FunctionTest, KnowsItsDeadline) {
  Request request;
  EXPECT_EQ(Invoke("alone", request).body, "plenty");
  request.timeout = std::chrono::milliseconds(500);
  EXPECT_EQ(Invoke("alone", request).body, "little");
}

}  // namespace
