#include "admin/admin_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/strand.hpp>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "admin/admin_session.h"
#include "base/host_port.h"
#include "base/port_holder.h"
#include "base/thread.h"

namespace mayfly::admin {
namespace {

namespace asio = boost::asio;
using Protocol = asio::generic::stream_protocol;
using boost::system::error_code;

// A probe must not wait for a scrape that is long in the making.
constexpr int kThreads = 2;
constexpr std::string_view kUnix = "unix:";

struct Route {
  std::string method;
  std::string pattern;
  AdminServer::Handler handler;
};

// Whether `path` has the segments of `pattern`, where "*" stands for any that is not empty.
bool Matches(std::string_view path, std::string_view pattern) {
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = pattern.substr(0, pattern.find('/'));
    const std::string_view there = path.substr(0, path.find('/'));
    if (wanted == "*" ? there.empty() : wanted != there) return false;
    const bool more = wanted.size() < pattern.size();
    if (more != (there.size() < path.size())) return false;
    pattern.remove_prefix(wanted.size() + more);
    path.remove_prefix(there.size() + more);
  }
  return pattern.empty() && path.empty();
}

// What "HOST:PORT", "[ADDRESS]:PORT" or "unix:/path" stands for.
absl::StatusOr<Protocol::endpoint> Resolve(asio::io_context& io, const std::string& address) {
  if (address.starts_with(kUnix)) {
    const std::string path = address.substr(kUnix.size());
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
      return absl::InvalidArgumentError(absl::StrCat("admin address \"", address, "\" has no path of 1 to ",
                                                     sizeof(sockaddr_un::sun_path) - 1, " bytes"));
    }
    return Protocol::endpoint(asio::local::stream_protocol::endpoint(path));
  }
  const std::optional<base::HostPort> wanted = base::SplitHostPort(address);
  if (!wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat("admin address \"", address, "\" is not HOST:PORT or unix:/path"));
  }
  error_code error;
  asio::ip::tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(wanted->host, std::to_string(wanted->port), asio::ip::resolver_base::passive, error);
  if (error || found.empty()) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address, " for administration: ", error.message()));
  }
  return Protocol::endpoint(found.begin()->endpoint());
}

std::uint16_t PortOf(const Protocol::endpoint& endpoint) {
  asio::ip::tcp::endpoint tcp;
  std::memcpy(tcp.data(), endpoint.data(), std::min(endpoint.size(), tcp.capacity()));
  return tcp.port();
}

}  // namespace

struct AdminServer::Impl {
  asio::io_context io{kThreads};
  asio::basic_socket_acceptor<Protocol> acceptor{io};
  std::vector<Route> routes;
  std::shared_ptr<SessionLimit> limit = std::make_shared<SessionLimit>();
  std::string socket_path;
  std::vector<std::jthread> threads;

  absl::Status Listen(const Protocol::endpoint& endpoint) {
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (error) return absl::UnavailableError(error.message());
    if (!socket_path.empty()) {
      ::unlink(socket_path.c_str());
      // A socket's file gets the mode that its descriptor has: the umask is every thread's, and is left alone.
      ::fchmod(acceptor.native_handle(), 0600);
    } else {
      acceptor.set_option(asio::socket_base::reuse_address(true), error);
    }
    acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use && socket_path.empty()) {
      return absl::UnavailableError(
          absl::StrCat(error.message(), ": ", base::DescribePortHolder(PortOf(endpoint))));
    }
    if (error) return absl::UnavailableError(error.message());
    return absl::OkStatus();
  }

  void Accept() {
    acceptor.async_accept(asio::make_strand(io), [this](error_code error, SessionSocket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) StartSession(std::move(socket), limit, [this](const Request& r) { return Answer(r); });
      Accept();
    });
  }

  Reply Answer(const Request& request) const {
    bool other_method = false;
    for (const Route& route : routes) {
      if (!Matches(request.path, route.pattern)) continue;
      if (route.method == request.method) return route.handler(request);
      other_method = true;
    }
    if (other_method) return Reply{405, "text/plain", absl::StrCat(request.path, " has other methods\n")};
    return Reply{404, "text/plain", absl::StrCat("there is no ", request.path, " here\n")};
  }
};

AdminServer::AdminServer(const base::Metrics& metrics, std::function<std::string()> ready)
    : impl_(std::make_unique<Impl>()) {
  Handle("GET", "/metrics", [&metrics](const Request&) {
    return Reply{200, "text/plain; version=0.0.4; charset=utf-8", metrics.Text()};
  });
  Handle("GET", "/healthz", [](const Request&) { return Reply{200, "text/plain", "ok\n"}; });
  Handle("GET", "/readyz", [ready = std::move(ready)](const Request&) {
    const std::string why_not = ready();
    if (why_not.empty()) return Reply{200, "text/plain", "ok\n"};
    return Reply{503, "text/plain", why_not + "\n"};
  });
}

AdminServer::~AdminServer() {
  impl_->io.stop();
  impl_->threads.clear();
  if (!impl_->socket_path.empty()) ::unlink(impl_->socket_path.c_str());
}

void AdminServer::Handle(const std::string& method, const std::string& pattern, Handler handler) {
  impl_->routes.push_back({method, pattern, std::move(handler)});
}

absl::StatusOr<std::string> AdminServer::Start(const std::string& address) {
  const absl::StatusOr<Protocol::endpoint> endpoint = Resolve(impl_->io, address);
  if (!endpoint.ok()) return endpoint.status();
  const bool is_unix = address.starts_with(kUnix);
  if (is_unix) impl_->socket_path = address.substr(kUnix.size());
  if (const absl::Status status = impl_->Listen(*endpoint); !status.ok()) {
    impl_->socket_path.clear();
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address, " for administration: ", status.message()));
  }
  impl_->Accept();
  for (int i = 0; i < kThreads; ++i) {
    impl_->threads.push_back(base::StartThread("admin", [this](std::stop_token) { impl_->io.run(); }));
  }
  if (is_unix) return address;
  return absl::StrCat(address.substr(0, address.rfind(':')), ":", PortOf(impl_->acceptor.local_endpoint()));
}

}  // namespace mayfly::admin
