// An HTTP server of the test's own, that misbehaves as it is told.
#pragma once

#include <httplib.h>
#include <openssl/sha.h>

#include <string>
#include <thread>

#include "absl/strings/escaping.h"

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

inline std::string DigestOf(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), sizeof digest));
}

}  // namespace mayfly::runtime
