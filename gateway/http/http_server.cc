#include "gateway/http/http_server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/gate.h"
#include "base/host_port.h"
#include "base/log.h"
#include "base/port_holder.h"
#include "gateway/http/error_answer.h"
#include "gateway/http/event_loop.h"

namespace mayfly::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

absl::StatusOr<tcp::endpoint> ParseAddress(const std::string& address) {
  const std::optional<base::HostPort> wanted = base::SplitHostPort(address);
  if (!wanted) {
    return absl::InvalidArgumentError(
        fmt::format("listen address \"{}\" is not HOST:PORT, such as 127.0.0.1:8080", address));
  }
  std::string host = wanted->host;
  if (host == "localhost") host = "127.0.0.1";
  if (host.empty()) host = "0.0.0.0";
  boost::system::error_code error;
  const asio::ip::address ip = asio::ip::make_address(host, error);
  if (error) {
    return absl::InvalidArgumentError(
        fmt::format("listen address \"{}\": {} is not an IP address", address, host));
  }
  return tcp::endpoint(ip, wanted->port);
}

absl::Status ListenError(const tcp::endpoint& endpoint, const boost::system::error_code& error) {
  std::string message = fmt::format("cannot listen on {}:{}: {}", endpoint.address().to_string(),
                                    endpoint.port(), error.message());
  if (error == asio::error::address_in_use) message += ": " + base::DescribePortHolder(endpoint.port());
  return absl::UnavailableError(message);
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpOptions options, const Router& router, Dispatcher& dispatcher, base::Metrics& metrics)
      : options_(std::move(options)), metrics_(metrics) {
    unsigned threads = options_.threads;
    if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < threads; ++i) {
      loops_.push_back(std::make_unique<EventLoop>(options_, router, dispatcher, metrics_));
    }
  }

  ~Impl() { Stop(std::chrono::steady_clock::now()); }

  absl::StatusOr<std::string> Start() {
    const absl::StatusOr<tcp::endpoint> wanted = ParseAddress(options_.address);
    if (!wanted.ok()) return wanted.status();
    acceptor_.emplace(loops_[0]->io());
    boost::system::error_code error;
    acceptor_->open(wanted->protocol(), error);
    if (!error) acceptor_->set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_->bind(*wanted, error);
    if (!error) acceptor_->listen(kBacklog, error);
    if (!error) acceptor_->non_blocking(true, error);
    if (error) return ListenError(*wanted, error);
    const tcp::endpoint bound = acceptor_->local_endpoint(error);
    retry_.emplace(loops_[0]->io());
    BoundConnections();
    started_ = true;
    Accept();
    for (std::size_t i = 0; i < loops_.size(); ++i) loops_[i]->Start(fmt::format("http-{}", i));
    const std::string host = bound.address().is_v6() ? fmt::format("[{}]", bound.address().to_string())
                                                     : bound.address().to_string();
    return fmt::format("{}:{}", host, bound.port());
  }

  void Stop(std::chrono::steady_clock::time_point deadline) {
    if (!std::exchange(started_, false)) return;
    std::promise<void> closed;
    asio::post(loops_[0]->io(), [&] {
      // Who is connected already, as far as the kernel is concerned, is served.
      AcceptWaiting();
      boost::system::error_code ignored;
      acceptor_->close(ignored);
      retry_->cancel();
      closed.set_value();
    });
    closed.get_future().wait();
    gate_.Close();
    for (const auto& loop : loops_) loop->Drain();
    gate_.WaitUntil(deadline);
    for (const auto& loop : loops_) loop->Stop();
    for (const auto& loop : loops_) loop->Join();
  }

  std::size_t connections() const {
    std::size_t sum = 0;
    for (const auto& loop : loops_) sum += loop->connections();
    return sum;
  }

 private:
  static constexpr int kBacklog = 4096;
  static constexpr int kMostErrors = 64;
  static constexpr std::size_t kFewConnections = 4096;  // worth a word
  static constexpr std::chrono::seconds kTellEvery{10};

  // What is left of the process' descriptors is for replicas, logs and the operator.
  void BoundConnections() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    const std::size_t bound = std::max<std::size_t>(1, limit.rlim_cur / 4 * 3);
    if (bound >= max_connections_) return;
    max_connections_ = bound;
    if (bound >= kFewConnections) return;
    base::log::Warn(
        "takes fewer connections than it is allowed to, as this process may not open more files",
        {{"connections", bound}, {"allowed", options_.max_connections}, {"ulimit_n", limit.rlim_cur}});
  }

  // On the first loop's thread, as all that follows.
  void Accept() {
    acceptor_->async_wait(asio::socket_base::wait_read, [this](const boost::system::error_code& error) {
      if (error) return;
      if (AcceptWaiting()) {
        Accept();
      } else {
        RetryLater();
      }
    });
  }

  // Accepts all that wait; false if it is to be tried again later, as the process has no descriptors left.
  bool AcceptWaiting() {
    int errors = 0;
    while (true) {
      EventLoop& loop = Emptiest();
      tcp::endpoint peer;
      boost::system::error_code error;
      tcp::socket socket = acceptor_->accept(loop.io(), peer, error);
      if (error == asio::error::would_block) return true;
      if (error == asio::error::no_descriptors ||
          error == boost::system::errc::too_many_files_open_in_system || error == asio::error::no_memory ||
          error == asio::error::no_buffer_space) {
        NoteRefused(error.message());
        return false;
      }
      if (error == asio::error::bad_descriptor) return true;
      if (error) {
        // Of that connection, most likely; but an error that stays must not keep this loop from its connections.
        if (++errors > kMostErrors) {
          NoteRefused(error.message());
          return false;
        }
        continue;
      }
      if (connections() >= max_connections_) {
        TurnAway(socket);
        continue;
      }
      loop.Adopt(std::move(socket), peer.address().to_string(), gate_.Enter());
    }
  }

  void NoteRefused(const std::string& why) {
    metrics_.Refused("NoDescriptors");
    // Ten times a second it would say the same.
    const auto now = std::chrono::steady_clock::now();
    if (told_at_ && now - *told_at_ < kTellEvery) return;
    told_at_ = now;
    base::log::Error("cannot accept connections; those that wait are tried again ten times a second",
                     {{"error", why}, {"connections", connections()}});
  }

  void RetryLater() {
    retry_->expires_after(std::chrono::milliseconds(100));
    retry_->async_wait([this](const boost::system::error_code& error) {
      if (!error) Accept();
    });
  }

  EventLoop& Emptiest() {
    return **std::min_element(loops_.begin(), loops_.end(), [](const auto& a, const auto& b) {
      return a->connections() < b->connections();
    });
  }

  void TurnAway(tcp::socket& socket) {
    metrics_.Refused("TooManyConnections");
    const std::string body = ErrorBody("", "gateway", "TooManyConnections", "too many connections are open");
    const std::string answer = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
        "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        body.size(), body);
    ::send(socket.native_handle(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    boost::system::error_code ignored;
    socket.shutdown(tcp::socket::shutdown_both, ignored);
  }

  const HttpOptions options_;
  HttpMetrics metrics_;
  // Holds the connections that are open; outlives the loops, which hold its passes.
  base::Gate gate_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  std::optional<tcp::acceptor> acceptor_;
  std::optional<asio::steady_timer> retry_;
  std::size_t max_connections_ = options_.max_connections;
  std::optional<std::chrono::steady_clock::time_point> told_at_;  // the last time that accepting failed
  bool started_ = false;
};

HttpServer::HttpServer(HttpOptions options, const Router& router, Dispatcher& dispatcher,
                       base::Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), router, dispatcher, metrics)) {}

HttpServer::~HttpServer() = default;

absl::StatusOr<std::string> HttpServer::Start() { return impl_->Start(); }

void HttpServer::Stop(std::chrono::steady_clock::time_point deadline) { impl_->Stop(deadline); }

std::size_t HttpServer::connections() const { return impl_->connections(); }

}  // namespace mayfly::gateway
