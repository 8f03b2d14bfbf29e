// A ScriptedRedis is a server that answers as a test says, for what no real one says.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/thread.h"
#include "gateway/sources/redis/redis_reply.h"

namespace mayfly::gateway {

class ScriptedRedis {
 public:
  // What it says to a command, as bytes; "": nothing. Called on its thread.
  using Script = std::function<std::string(const std::vector<std::string>& words)>;

  explicit ScriptedRedis(Script script)
      : script_(std::move(script)),
        ends_(::eventfd(0, EFD_CLOEXEC)),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 &&
        ::listen(listener_.get(), 16) == 0 &&
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0)
      port_ = ntohs(address.sin_port);
    thread_ = base::StartThread("scripted-redis", [this](const std::stop_token& stop) { Run(stop); });
  }
  ~ScriptedRedis() {
    thread_.request_stop();
    (void)::eventfd_write(ends_.get(), 1);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  struct Client {
    base::FileDescriptor socket;
    RedisReader reader;
  };

  void Run(const std::stop_token& stop) {
    std::vector<std::unique_ptr<Client>> clients;
    while (!stop.stop_requested()) {
      std::vector<pollfd> fds = {{ends_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
      for (const auto& client : clients) fds.push_back({client->socket.get(), POLLIN, 0});
      (void)::poll(fds.data(), fds.size(), -1);
      std::vector<std::unique_ptr<Client>> left;
      for (std::size_t n = 0; n < clients.size(); ++n) {
        if (fds[n + 2].revents == 0 || Serve(*clients[n])) left.push_back(std::move(clients[n]));
      }
      clients = std::move(left);
      if ((fds[1].revents & POLLIN) == 0) continue;
      clients.push_back(std::make_unique<Client>());
      clients.back()->socket.Reset(::accept(listener_.get(), nullptr, nullptr));
    }
  }
  // False once the client is gone.
  bool Serve(Client& client) const {
    char buffer[4096];
    const ssize_t got = ::recv(client.socket.get(), buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    client.reader.Feed({buffer, static_cast<std::size_t>(got)});
    RedisReply command;
    for (auto whole = client.reader.Next(&command); whole.ok() && *whole;
         whole = client.reader.Next(&command)) {
      std::vector<std::string> words;
      for (const RedisReply& word : command.items) words.push_back(word.text);
      const std::string answer = script_(words);
      (void)::send(client.socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    return true;
  }

  const Script script_;
  const base::FileDescriptor ends_;
  const base::FileDescriptor listener_;
  int port_ = 0;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::gateway
