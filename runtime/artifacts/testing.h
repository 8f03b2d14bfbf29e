// An HTTP server of the test's own, that misbehaves as it is told.
#pragma once

#include <httplib.h>

#include <string>
#include <thread>

namespace mayfly::runtime {

class TestServer {
 public:
  TestServer() : port_(server_.bind_to_any_port("127.0.0.1")) {}
  ~TestServer() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  // After the handlers are set.
  void Start() {
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  httplib::Server& server() { return server_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  httplib::Server server_;
  const int port_;
  std::thread thread_;
};

}  // namespace mayfly::runtime
