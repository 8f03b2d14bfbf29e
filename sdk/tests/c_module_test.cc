// The test host against modules in C, and the host's rules against a module that tries to break them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mayfly/testing.hpp"

namespace {

using Request = mayfly::testing::Request;

mayfly::testing::Module Open(const std::string& name) {
  return mayfly::testing::Module::Open(MAYFLY_TEST_MODULE_DIR "/" + name + ".so");
}

TEST(CModule, EchoesItsBody) {
  Request request;
  request.body = "payload";
  request.content_type = "text/css";
  const auto answer = Open("echo_plain").Create().Invoke(request);
  EXPECT_TRUE(answer.ok) << answer.failure;
  EXPECT_EQ(answer.body, "payload");
  EXPECT_EQ(answer.content_type, "text/css");
  EXPECT_EQ(answer.Header("x-test"), "1");
}

TEST(CModule, StreamsItsChunks) {
  Request request;
  request.query = "chunks=2&size=3";
  const auto answer = Open("streams").Create("main").Invoke(request);
  EXPECT_TRUE(answer.streamed);
  EXPECT_EQ(answer.body, "abcdef");
}

TEST(CModule, NeedsAHandlersNameIfItHasSeveral) {
  const auto module = Open("many_handlers");
  EXPECT_EQ(module.Create("second").Invoke(Request()).body, "second");
  EXPECT_THROW((void)module.Create(), std::runtime_error);
  EXPECT_THROW((void)module.Create("third"), std::runtime_error);
}

TEST(TestHost, KeepsTheRulesOfTheHost) {
  const auto answer = Open("checks_host").Create().Invoke(Request());
  EXPECT_TRUE(answer.ok) << answer.failure;
  EXPECT_EQ(answer.body,
            "header_with_newline=EINVAL\nheader_with_space=EINVAL\nheader_without_name=EINVAL\n"
            "header_too_large=ENOSPC\nstatus_99=EINVAL\nstatus_600=EINVAL\ncontent_type_with_newline=EINVAL\n"
            "write_before_begin=EPROTO\nend_before_begin=EPROTO\nbegin=0\n"
            "header_after_begin=EALREADY\n");
}

TEST(TestHost, SaysWhatIsWrongWithAnAnswer) {
  EXPECT_EQ(Open("no_answer").Create().Invoke(Request()).failure, "the handler returned without an answer");
  EXPECT_EQ(Open("answers_twice").Create().Invoke(Request()).failure, "the handler answered twice");
  EXPECT_EQ(Open("fails").Create().Invoke(Request()).failure, "the disk of the moon is full");
  EXPECT_EQ(Open("returns_error").Create().Invoke(Request()).failure, "the handler returned 5");
}

TEST(TestHost, RefusesWhatTheRuntimeWouldRefuse) {
  EXPECT_THROW(Open("wrong_abi"), std::runtime_error);
  EXPECT_THROW(Open("wrong_abi_field"), std::runtime_error);
  EXPECT_THROW(Open("not_a_module"), std::runtime_error);
  EXPECT_THROW(Open("text_file"), std::runtime_error);
  EXPECT_THROW(Open("truncated_header"), std::runtime_error);
  EXPECT_THROW(Open("missing_library"), std::runtime_error);
  EXPECT_THROW(Open("newer_glibc"), std::runtime_error);
  EXPECT_THROW((void)Open("create_fails").Create(), std::runtime_error);
}

}  // namespace
