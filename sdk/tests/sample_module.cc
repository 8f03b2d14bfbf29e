// A module with a handler of each kind that function.hpp knows.
#include <stdexcept>
#include <string>

#include "mayfly/function.hpp"

namespace {

mayfly::Reply Greet(const mayfly::Event& event) {
  mayfly::Log::Info("greeting ", event.invocation_id(), " ", 7, ' ', 1.5, " ", true);
  mayfly::Reply reply = mayfly::Reply::Text("Hello, " + event.QueryParameter("name").value_or("world") + "!");
  reply.headers.emplace_back("x-greeted", "yes");
  return reply;
}

void Describe(const mayfly::Event& event, mayfly::Response& response) {
  std::string text;
  for (const auto& [name, value] : event.headers()) text.append(name).append(":").append(value).append(";");
  text.append(event.headers().Get("Content-Type", "none")).append(";");
  text.append(event.parameters().Get("id")).append(";");
  text.append(event.attributes().Get("tenant")).append(";");
  text.append(event.method()).append(" ").append(event.path()).append(" ").append(event.body());
  response.Header("x-attempt", std::to_string(event.attempt()));
  response.Text(text, 201);
}

void Count(const mayfly::Event& event, mayfly::Response& response) {
  auto stream = response.Begin(200, "text/plain");
  for (int n = 0; n < 5; n++) {
    stream.Write(std::to_string(n));
    if (event.QueryParameter("throw")) throw std::runtime_error("thrown while streaming");
  }
}

void Misbehave(const mayfly::Event& event, mayfly::Response& response) {
  const std::string how = event.QueryParameter("how").value_or("");
  if (how == "throw") throw std::runtime_error("the disk is full");
  if (how == "throw_int") throw 7;
  if (how == "bad_header") response.Header("x\n", "y");
  if (how == "bad_status") response.Text("text", 999);
  if (how == "twice") response.Text("one"), response.Text("two");
  if (how == "fail") response.Fail("said so");
}

class Counter {
 public:
  explicit Counter(const mayfly::Config& config) : config_(config.json()) {
    if (config_ == "[]") throw std::invalid_argument("config must be a mapping, not a list");
  }
  mayfly::Reply Handle(const mayfly::Event&) {
    return mayfly::Reply::Json(config_ + " " + std::to_string(++calls_) + " " + std::to_string(forks_));
  }
  void AfterFork() {
    if (config_ == "\"no fork\"") throw std::runtime_error("cannot reconnect");
    forks_++;
  }

 private:
  std::string config_;
  int calls_ = 0;
  int forks_ = 0;
};

class Alone {
 public:
  static constexpr bool kNoFork = true;
  void Handle(const mayfly::Event& event, mayfly::Response& response) {
    response.Text(mayfly::TimeLeft(event) > std::chrono::seconds(1) ? "plenty" : "little");
  }
};

}  // namespace

MAYFLY_MODULE(mayfly::Function<Greet>("greet"), mayfly::Function<Describe>("describe"),
              mayfly::Function<Count>("count"), mayfly::Function<Misbehave>("misbehave"),
              mayfly::Handler<Counter>("counter"), mayfly::Handler<Alone>("alone"))
