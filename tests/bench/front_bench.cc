// The HTTP front alone: an HttpServer over a dispatcher that answers at once.
//
//   front_bench PORT [THREADS]     then: wrk -t2 -c64 -d5s http://127.0.0.1:PORT/hello
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/metrics.h"
#include "gateway/http/http_server.h"
#include "gateway/routing/router.h"

namespace {

using namespace mayfly;
using namespace mayfly::gateway;

class ImmediateDispatcher final : public Dispatcher {
 public:
  std::unique_ptr<Dispatched> Begin(DispatchRequest, std::shared_ptr<AnswerSink> sink) override {
    v1::ResponsePart part;
    part.mutable_head()->set_status(200);
    v1::Pair& type = *part.mutable_head()->add_headers();
    type.set_name("content-type");
    type.set_value("text/plain");
    part.set_data("hello\n");
    part.mutable_result()->set_outcome(v1::OUTCOME_OK);
    sink->OnPart(std::move(part));
    return std::make_unique<Handle>();
  }

 private:
  class Handle final : public Dispatched {
   public:
    void Write(std::string, bool) override {}
    void Grant(std::uint64_t) override {}
    void Cancel() override {}
  };
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: front_bench PORT [THREADS]\n");
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  base::Metrics metrics;
  Router router;
  v1::RouteUpdate update;
  v1::FunctionRoute& route = *update.add_upsert();
  route.set_function("bench/hello");
  route.add_http()->set_path("/hello");
  router.Apply(update);
  ImmediateDispatcher dispatcher;
  HttpOptions options;
  options.address = std::string("127.0.0.1:") + argv[1];
  if (argc > 2) options.threads = static_cast<unsigned>(std::atoi(argv[2]));
  HttpServer server(options, router, dispatcher, metrics);
  const auto bound = server.Start();
  if (!bound.ok()) {
    std::fprintf(stderr, "front_bench: %s\n", std::string(bound.status().message()).c_str());
    return 1;
  }
  std::printf("ready %s\n", bound->c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  server.Stop(std::chrono::steady_clock::now() + std::chrono::seconds(1));
  return 0;
}
