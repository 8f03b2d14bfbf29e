// What a gateway is compared with: cpp-httplib answering "hello" by itself, a thread per connection up to 64.
//
//   httplib_hello PORT
#include <httplib.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: httplib_hello PORT\n");
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  httplib::Server server;
  server.new_task_queue = [] { return new httplib::ThreadPool(64); };
  server.set_keep_alive_max_count(1'000'000'000);
  server.set_tcp_nodelay(true);
  server.Get("/hello", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("hello\n", "text/plain");
  });
  if (!server.bind_to_port("127.0.0.1", std::atoi(argv[1]))) {
    std::fprintf(stderr, "httplib_hello: cannot listen on port %s\n", argv[1]);
    return 1;
  }
  std::jthread listener([&] { server.listen_after_bind(); });
  std::printf("ready 127.0.0.1:%s\n", argv[1]);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  server.stop();
  return 0;
}
