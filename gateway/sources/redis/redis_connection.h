// A RedisConnection is one connection to a Redis server, which never waits: whoever has it polls its socket, and lets it go on
// when there is something to do. It begins to connect when it is made, says who it is, and ends for good with its first error.
//
// Commands are answered in their order. One that is not answered within its time ends the connection: nothing that comes
// later could be told from its answer. Errors of the connection have the address and the server's own words in them, and never
// a password.
//
// Not thread-safe. The name of a host is looked up in the constructor, which is the one thing here that waits.
#pragma once

#include <netdb.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "gateway/sources/redis/redis_reply.h"
#include "gateway/sources/redis/redis_tls.h"

namespace mayfly::gateway {

struct RedisServer {
  std::string host;
  std::uint16_t port = 6379;
  std::uint32_t database = 0;
  std::string username;  // with password; "": nobody says who comes
  std::string password;
  bool tls = false;
  std::string ca;  // PEM
  std::string certificate;
  std::string key;

  auto operator<=>(const RedisServer&) const = default;

  std::string Address() const;
};

class RedisConnection {
 public:
  using OnReply = std::function<void(RedisReply)>;
  static constexpr std::chrono::milliseconds kAnswers{10'000};

  // `server` and `tls` outlive the connection; `tls` is null without TLS.
  RedisConnection(const RedisServer& server, ssl_ctx_st* tls, base::MonotonicTime now);
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // Sends `words` once it can. `then` gets the answer, an error of the server's too, from within Serve(), where it must not end
  // the connection; it is not called if that ends before.
  void Ask(const std::vector<std::string>& words, base::MonotonicTime now, OnReply then,
           std::chrono::milliseconds within = kAnswers);

  // For poll(); the socket changes while it connects.
  int socket() const { return socket_.get(); }
  short events() const;
  // Serve() is due then, whatever poll() says.
  std::optional<base::MonotonicTime> deadline() const;
  // Does what can be done without waiting; `ready` is what poll() has said. An error is the connection's end.
  absl::Status Serve(short ready, base::MonotonicTime now);

  // The server has let it in.
  bool ready() const { return state_ == State::kReady; }
  // As the server numbers its clients; 0: not known.
  std::int64_t client_id() const { return client_id_; }

 private:
  enum class State { kConnecting, kShakingHands, kLoggingIn, kReady };
  struct Pending {
    OnReply then;
    base::MonotonicTime deadline{};
  };
  struct FreeAddresses {
    void operator()(addrinfo* addresses) const { ::freeaddrinfo(addresses); }
  };

  absl::Status TryNext(base::MonotonicTime now);
  absl::Status FinishConnect(base::MonotonicTime now);
  absl::Status ShakeHands(base::MonotonicTime now);
  void LogIn(base::MonotonicTime now);
  void OnLogIn(const RedisReply& reply);
  absl::Status Write();
  absl::Status Read();
  absl::Status Dispatch();
  // What a call of OpenSSL that returned `result` is about: OK if it only wants to be called again.
  absl::Status Judge(int result);
  absl::Status Lost(std::string words) const;

  const RedisServer& server_;
  ssl_ctx_st* const tls_;
  absl::Status failure_;  // told by the next Serve()
  std::unique_ptr<addrinfo, FreeAddresses> addresses_;
  const addrinfo* next_ = nullptr;  // to try
  base::FileDescriptor socket_;
  Ssl ssl_;
  State state_ = State::kConnecting;
  base::MonotonicTime connect_by_{};
  bool wants_write_ = false;  // TLS does
  std::string out_;
  std::size_t sent_ = 0;  // of out_
  RedisReader reader_;
  std::deque<Pending> pending_;
  std::size_t logging_in_ = 0;  // answers until it is let in
  std::int64_t client_id_ = 0;
};

}  // namespace mayfly::gateway
