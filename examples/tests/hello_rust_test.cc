// The Rust example, and its binding held to the C header: both print their layout, and the two must be equal.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <string>

#include "mayfly/testing.hpp"

namespace {

using mayfly::testing::Module;
using mayfly::testing::Request;

std::string OutputOf(const std::string& command) {
  std::string output;
  FILE* const pipe = popen(command.c_str(), "r");
  char buffer[4096];
  while (pipe != nullptr && fgets(buffer, sizeof(buffer), pipe) != nullptr) output += buffer;
  if (pipe != nullptr) pclose(pipe);
  return output;
}

std::string LayoutOfTheHeader() {
  std::string out;
  const auto line = [&](const std::string& what, std::size_t number) {
    out += what + " " + std::to_string(number) + "\n";
  };
#define FIELD(type, field) line(#type "." #field, offsetof(type, field))
#define NAMED_FIELD(type, field, name) line(#type "." name, offsetof(type, field))
#define SIZE(type) line(#type, sizeof(type))
  FIELD(mayfly_str, data), FIELD(mayfly_str, size), SIZE(mayfly_str);
  FIELD(mayfly_pair, name), FIELD(mayfly_pair, value), SIZE(mayfly_pair);
  FIELD(mayfly_event, size), FIELD(mayfly_event, invocation_id), FIELD(mayfly_event, attempt);
  FIELD(mayfly_event, is_http), FIELD(mayfly_event, deadline_ns), FIELD(mayfly_event, id);
  FIELD(mayfly_event, source), NAMED_FIELD(mayfly_event, type, "type_"), FIELD(mayfly_event, subject);
  FIELD(mayfly_event, time), FIELD(mayfly_event, data_content_type), FIELD(mayfly_event, attributes);
  FIELD(mayfly_event, attribute_count), FIELD(mayfly_event, method), FIELD(mayfly_event, path);
  FIELD(mayfly_event, query), FIELD(mayfly_event, headers), FIELD(mayfly_event, header_count);
  FIELD(mayfly_event, parameters), FIELD(mayfly_event, parameter_count), FIELD(mayfly_event, body);
  FIELD(mayfly_event, body_size), SIZE(mayfly_event);
  FIELD(mayfly_host, size), FIELD(mayfly_host, abi_version), FIELD(mayfly_host, reserved);
  FIELD(mayfly_host, log), FIELD(mayfly_host, reply), FIELD(mayfly_host, add_header),
      FIELD(mayfly_host, begin);
  FIELD(mayfly_host, write), FIELD(mayfly_host, end), FIELD(mayfly_host, fail), FIELD(mayfly_host, set_error);
  SIZE(mayfly_host);
  FIELD(mayfly_handler, size), FIELD(mayfly_handler, name), FIELD(mayfly_handler, flags);
  FIELD(mayfly_handler, reserved), FIELD(mayfly_handler, create), FIELD(mayfly_handler, after_fork);
  FIELD(mayfly_handler, handle), FIELD(mayfly_handler, destroy), SIZE(mayfly_handler);
  FIELD(mayfly_module, size), FIELD(mayfly_module, abi_version), FIELD(mayfly_module, handler_count);
  FIELD(mayfly_module, handlers), SIZE(mayfly_module);
  line("MAYFLY_ABI_VERSION", MAYFLY_ABI_VERSION);
  return out;
}

TEST(HelloRust, HasTheLayoutOfTheHeader) {
  EXPECT_EQ(OutputOf(MAYFLY_SOURCE_DIR "/examples/hello-rust/target/release/abi_layout"),
            LayoutOfTheHeader());
}

TEST(HelloRust, GreetsTheQueryTheBodyAndTheWorld) {
  const Module module = Module::Open(MAYFLY_EXAMPLE_DIR "/hello-rust.so");
  auto hello = module.Create("hello");
  Request request;
  EXPECT_EQ(hello.Invoke(request).body, "Hello, world!\n");
  request.body = "Ada";
  EXPECT_EQ(hello.Invoke(request).body, "Hello, Ada!\n");
  request.query = "name=Grace&x=1";
  const auto answer = hello.Invoke(request);
  EXPECT_TRUE(answer.ok) << answer.failure;
  EXPECT_EQ(answer.body, "Hello, Grace!\n");
}

}  // namespace
