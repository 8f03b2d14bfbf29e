#include "gateway/sources/redis/redis_connection.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "gateway/sources/redis/redis_trouble.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnects = 10s;
constexpr std::size_t kChunk = 16 << 10;
// In one call of Serve(), so that others have their turn.
constexpr std::size_t kMostRead = std::size_t{1} << 20;

}  // namespace

std::string RedisServer::Address() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

RedisConnection::RedisConnection(const RedisServer& server, ssl_ctx_st* tls, base::MonotonicTime now)
    : server_(server), tls_(tls) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(server_.host.c_str(), std::to_string(server_.port).c_str(), &hints, &found);
  addresses_.reset(found);
  next_ = found;
  if (code != 0) {
    failure_ = Lost(::gai_strerror(code));
  } else {
    failure_ = TryNext(now);
  }
}

absl::Status RedisConnection::Lost(std::string words) const {
  return absl::UnavailableError(fmt::format("{}: {}", server_.Address(), words));
}

absl::Status RedisConnection::TryNext(base::MonotonicTime now) {
  int error = 0;
  for (; next_ != nullptr; next_ = next_->ai_next) {
    socket_.Reset(::socket(next_->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_) {
      error = errno;
      continue;
    }
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    state_ = State::kConnecting;
    connect_by_ = now + kConnects;
    if (::connect(socket_.get(), next_->ai_addr, next_->ai_addrlen) == 0 || errno == EINPROGRESS) {
      next_ = next_->ai_next;
      return absl::OkStatus();
    }
    error = errno;
  }
  return Lost(std::strerror(error));
}

absl::Status RedisConnection::FinishConnect(base::MonotonicTime now) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return next_ != nullptr ? TryNext(now) : Lost(std::strerror(error));
  if (tls_ == nullptr) {
    LogIn(now);
    return absl::OkStatus();
  }
  absl::StatusOr<Ssl> ssl = BeginRedisTls(tls_, socket_.get(), server_.host);
  if (!ssl.ok()) return ssl.status();
  ssl_ = *std::move(ssl);
  state_ = State::kShakingHands;
  return ShakeHands(now);
}

absl::Status RedisConnection::ShakeHands(base::MonotonicTime now) {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result != 1) return Judge(result);
  LogIn(now);
  return absl::OkStatus();
}

absl::Status RedisConnection::Judge(int result) {
  const int error_number = errno;
  wants_write_ = false;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return absl::OkStatus();
    case SSL_ERROR_WANT_WRITE:
      wants_write_ = true;
      return absl::OkStatus();
    case SSL_ERROR_ZERO_RETURN:
      ERR_clear_error();
      return Lost("the server closed the connection");
    default: {
      std::string words = RedisTlsError(ssl_.get());
      if (words.empty())
        words = error_number == 0 ? "the server closed the connection" : std::strerror(error_number);
      return Lost(std::move(words));
    }
  }
}

void RedisConnection::LogIn(base::MonotonicTime now) {
  state_ = State::kLoggingIn;
  addresses_.reset();
  next_ = nullptr;
  // What was asked meanwhile comes after.
  std::string asked = std::exchange(out_, {});
  std::deque<Pending> pending = std::exchange(pending_, {});
  const auto ask = [&](const std::vector<std::string>& words) {
    ++logging_in_;
    Ask(words, now, [this](const RedisReply& reply) { OnLogIn(reply); });
  };
  if (!server_.username.empty()) ask({"AUTH", server_.username, server_.password});
  if (server_.database != 0) ask({"SELECT", std::to_string(server_.database)});
  ask({"PING"});
  ask({"CLIENT", "ID"});
  out_ += asked;
  std::move(pending.begin(), pending.end(), std::back_inserter(pending_));
}

void RedisConnection::OnLogIn(const RedisReply& reply) {
  if (reply.is_integer()) client_id_ = reply.integer;
  // Whether one may PING, or ask for one's number, is not what this is about.
  const bool refused = reply.is_error() && reply.text.find("NOPERM") == std::string::npos &&
                       reply.text.find("MISCONF") == std::string::npos;
  if (refused && failure_.ok()) {
    // A server that does not know a command says all its words again.
    std::string words = reply.text;
    for (const std::string& secret : {server_.password, server_.username}) {
      for (std::size_t at = 0; !secret.empty() && (at = words.find(secret, at)) != std::string::npos; at += 3)
        words.replace(at, secret.size(), "***");
    }
    failure_ = base::WithContext(RedisError(words), server_.Address());
  }
  if (--logging_in_ == 0 && failure_.ok()) state_ = State::kReady;
}

void RedisConnection::Ask(const std::vector<std::string>& words, base::MonotonicTime now, OnReply then,
                          std::chrono::milliseconds within) {
  AppendRedisCommand(words, &out_);
  pending_.push_back({std::move(then), now + within});
}

short RedisConnection::events() const {
  if (state_ == State::kConnecting) return POLLOUT;
  if (state_ == State::kShakingHands) return wants_write_ ? POLLOUT : POLLIN;
  return sent_ < out_.size() || wants_write_ ? POLLIN | POLLOUT : POLLIN;
}

std::optional<base::MonotonicTime> RedisConnection::deadline() const {
  if (!failure_.ok()) return base::MonotonicTime{};
  if (state_ == State::kConnecting || state_ == State::kShakingHands) return connect_by_;
  // A command that waits at the server may stand before one that has less time.
  std::optional<base::MonotonicTime> first;
  if (!pending_.empty()) first = pending_.front().deadline;
  return first;
}

absl::Status RedisConnection::Serve(short ready, base::MonotonicTime now) {
  if (!failure_.ok()) return failure_;
  if (const auto by = deadline(); by && now >= *by) {
    const bool connecting = state_ == State::kConnecting || state_ == State::kShakingHands;
    if (connecting && next_ != nullptr) {
      ssl_.reset();
      return TryNext(now);
    }
    return Lost(state_ == State::kConnecting ? "there is no connection in time"
                : connecting                 ? "TLS does not begin in time (the server may not speak TLS)"
                                             : "the server does not answer in time");
  }
  const bool any = ready != 0;
  if (state_ == State::kConnecting) {
    if (!any) return absl::OkStatus();
    if (absl::Status status = FinishConnect(now); !status.ok()) return status;
  } else if (state_ == State::kShakingHands) {
    if (!any) return absl::OkStatus();
    if (absl::Status status = ShakeHands(now); !status.ok()) return status;
  }
  if (state_ == State::kConnecting || state_ == State::kShakingHands) return absl::OkStatus();
  if (absl::Status status = Write(); !status.ok()) {
    // What the server said before it closed the connection says why.
    const absl::Status read = Read();
    if (!failure_.ok()) return failure_;
    return read.ok() ? status : read;
  }
  if (!any) return absl::OkStatus();
  absl::Status status = Read();
  if (!failure_.ok()) return failure_;
  if (!status.ok()) return status;
  return Write();
}

absl::Status RedisConnection::Write() {
  while (sent_ < out_.size()) {
    const char* const from = out_.data() + sent_;
    const std::size_t left = out_.size() - sent_;
    ssize_t wrote = 0;
    if (ssl_ != nullptr) {
      ERR_clear_error();
      wrote = SSL_write(ssl_.get(), from, static_cast<int>(std::min(left, kMostRead)));
      if (wrote <= 0) return Judge(static_cast<int>(wrote));
      wants_write_ = false;
    } else {
      wrote = ::send(socket_.get(), from, left, MSG_NOSIGNAL);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (wrote < 0) return Lost(std::strerror(errno));
    }
    sent_ += static_cast<std::size_t>(wrote);
  }
  if (sent_ == out_.size()) {
    // An idle connection keeps no buffer.
    out_ = std::string();
    sent_ = 0;
  }
  return absl::OkStatus();
}

absl::Status RedisConnection::Read() {
  char buffer[kChunk];
  for (std::size_t taken = 0; taken < kMostRead || (ssl_ != nullptr && SSL_pending(ssl_.get()) > 0);) {
    ssize_t got = 0;
    if (ssl_ != nullptr) {
      ERR_clear_error();
      errno = 0;
      got = SSL_read(ssl_.get(), buffer, sizeof buffer);
      if (got <= 0) {
        absl::Status status = Judge(static_cast<int>(got));
        if (status.ok()) return Dispatch();
        if (absl::Status before = Dispatch(); !before.ok()) return before;
        return status;
      }
    } else {
      got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Dispatch();
      if (got <= 0) {
        const std::string words = got == 0 ? "the server closed the connection" : std::strerror(errno);
        if (absl::Status before = Dispatch(); !before.ok()) return before;
        return Lost(state_ == State::kLoggingIn ? words + "; it may want TLS" : words);
      }
    }
    taken += static_cast<std::size_t>(got);
    reader_.Feed({buffer, static_cast<std::size_t>(got)});
  }
  return Dispatch();
}

absl::Status RedisConnection::Dispatch() {
  for (;;) {
    RedisReply reply;
    const absl::StatusOr<bool> whole = reader_.Next(&reply);
    if (!whole.ok()) return base::WithContext(whole.status(), server_.Address());
    if (!*whole) return absl::OkStatus();
    if (pending_.empty()) {
      // What it says when it has no room for another client, or none for this one.
      if (reply.is_error()) return base::WithContext(RedisError(reply.text), server_.Address());
      return Lost("the server answers what was not asked");
    }
    Pending asked = std::move(pending_.front());
    pending_.pop_front();
    asked.then(std::move(reply));
    if (!failure_.ok()) return failure_;
  }
}

}  // namespace mayfly::gateway
