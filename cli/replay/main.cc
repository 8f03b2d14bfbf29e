// mayfly-replay: calls a module's handler with one event, in this very process, for a person with a debugger. Started by
// `mayfly replay`, which writes what it reads.
//
//   mayfly-replay FILE   {"module", "handler", "config", "environment", "attempt", "event", "body"}; the last two in base64, the
//                        event as mayfly.v1.Event
//
// The module's log goes to standard error as it comes, the answer's body to standard output. It ends with 0 if the handler
// answered, and with 1 if it did not.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "absl/strings/escaping.h"
#include "mayfly/testing.hpp"
#include "mayfly/v1/runtime.pb.h"

// For the debugger: what is called next, and where it is known.
extern "C" {
const void* mayfly_replay_handler = nullptr;
__attribute__((noinline)) void mayfly_replay_ready() { __asm__ volatile(""); }
}

namespace {

using mayfly::testing::Answer;
using mayfly::testing::LogLine;
using mayfly::testing::Module;
using mayfly::testing::Request;
using Json = nlohmann::json;

// As long as a person may look at it.
constexpr std::chrono::hours kTimeout{24};

std::string Decoded(const Json& json, const char* key) {
  std::string bytes;
  if (!absl::Base64Unescape(json.value(key, ""), &bytes))
    throw std::runtime_error(std::string(key) + " is no base64");
  return bytes;
}

void CopyPairs(const google::protobuf::RepeatedPtrField<mayfly::v1::Pair>& from, mayfly::testing::Pairs* to) {
  for (const mayfly::v1::Pair& pair : from) to->emplace_back(pair.name(), pair.value());
}

Request RequestOf(const Json& json) {
  mayfly::v1::Event event;
  if (!event.ParseFromString(Decoded(json, "event"))) throw std::runtime_error("event is no mayfly.v1.Event");
  Request request;
  request.invocation_id = "replay";
  request.attempt = json.value("attempt", 1u);
  request.timeout = kTimeout;
  request.id = event.id();
  request.source = event.source();
  request.type = event.type();
  request.subject = event.subject();
  request.time = event.time();
  request.content_type = event.data_content_type();
  CopyPairs(event.attributes(), &request.attributes);
  request.is_http = event.has_http();
  request.method = event.http().method();
  request.path = event.http().path();
  request.query = event.http().query();
  CopyPairs(event.http().headers(), &request.headers);
  CopyPairs(event.http().path_parameters(), &request.parameters);
  request.body = Decoded(json, "body");
  return request;
}

const void* HandlerOf(const Module& module, const std::string& name) {
  const mayfly_module& raw = module.raw();
  for (std::uint32_t n = 0; n < raw.handler_count; ++n) {
    if (name.empty() || name == raw.handlers[n]->name)
      return reinterpret_cast<const void*>(raw.handlers[n]->handle);
  }
  return nullptr;
}

void Print(const LogLine& line) { std::fprintf(stderr, "log: %s\n", line.text.c_str()); }

int Replay(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const Json json = Json::parse(text);
  const Json environment = json.value("environment", Json::object());
  for (const auto& [name, value] : environment.items())
    ::setenv(name.c_str(), value.get<std::string>().c_str(), 1);
  const std::string handler = json.value("handler", "");
  Module module = Module::Open(json.value("module", ""));
  module.OnLog(Print);
  mayfly::testing::Instance instance = module.Create(handler, json.value("config", "{}"));
  instance.AfterFork();
  const Request request = RequestOf(json);
  mayfly_replay_handler = HandlerOf(module, handler);
  mayfly_replay_ready();
  const Answer answer = instance.Invoke(request);
  if (answer.status != 0) {
    std::fprintf(stderr, "status: %u\n", answer.status);
    if (!answer.content_type.empty()) std::fprintf(stderr, "content-type: %s\n", answer.content_type.c_str());
    for (const auto& [name, value] : answer.headers)
      std::fprintf(stderr, "%s: %s\n", name.c_str(), value.c_str());
  }
  std::fwrite(answer.body.data(), 1, answer.body.size(), stdout);
  if (!answer.ok) std::fprintf(stderr, "failed: %s\n", answer.failure.c_str());
  return answer.ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("mayfly-replay is started by `mayfly replay ID`.\n", stderr);
    return 2;
  }
  try {
    return Replay(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "failed: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
