#include "admin/admin_server.h"

#include <httplib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/thread.h"

namespace mayfly::admin {

struct AdminServer::Impl {
  httplib::Server server;
  std::string socket_path;
  std::jthread thread;
};

namespace {

httplib::Server::Handler Wrap(AdminServer::Handler handler) {
  return [handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
    const Reply reply = handler(Request{request.path, request.body, [&request](const std::string& name) {
                                          return request.get_param_value(name.c_str());
                                        }});
    response.status = reply.status;
    response.set_content(reply.body, reply.content_type.c_str());
  };
}

}  // namespace

AdminServer::AdminServer(const base::Metrics& metrics, std::function<std::string()> ready)
    : impl_(std::make_unique<Impl>()) {
  constexpr std::size_t kThreads = 2;
  constexpr time_t kTimeoutSeconds = 5;
  impl_->server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  impl_->server.set_read_timeout(kTimeoutSeconds, 0);
  impl_->server.set_write_timeout(kTimeoutSeconds, 0);
  impl_->server.set_keep_alive_timeout(kTimeoutSeconds);
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
  impl_->server.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
  if (!impl_->socket_path.empty()) ::unlink(impl_->socket_path.c_str());
}

void AdminServer::Handle(const std::string& method, const std::string& pattern, Handler handler) {
  if (method == "POST") {
    impl_->server.Post(pattern, Wrap(std::move(handler)));
  } else if (method == "DELETE") {
    impl_->server.Delete(pattern, Wrap(std::move(handler)));
  } else {
    impl_->server.Get(pattern, Wrap(std::move(handler)));
  }
}

absl::StatusOr<std::string> AdminServer::Start(const std::string& address) {
  constexpr absl::string_view kUnix = "unix:";
  std::string bound = address;
  errno = 0;
  bool listening = false;
  if (absl::StartsWith(address, kUnix)) {
    impl_->socket_path = address.substr(kUnix.size());
    ::unlink(impl_->socket_path.c_str());
    // A socket's file gets the mode that its descriptor has: the umask is every thread's, and is left alone.
    impl_->server.set_socket_options([](socket_t socket) { ::fchmod(socket, 0600); });
    listening = impl_->server.set_address_family(AF_UNIX).bind_to_port(impl_->socket_path, 80);
  } else {
    const std::size_t colon = address.rfind(':');
    int port = 0;
    if (colon == std::string::npos ||
        !absl::SimpleAtoi(absl::string_view(address).substr(colon + 1), &port)) {
      return absl::InvalidArgumentError(
          absl::StrCat("admin address \"", address, "\" is not HOST:PORT or unix:/path"));
    }
    const std::string host = address.substr(0, colon);
    if (port == 0) {
      port = impl_->server.bind_to_any_port(host);
      listening = port > 0;
    } else {
      listening = impl_->server.bind_to_port(host, port);
    }
    bound = absl::StrCat(host, ":", port);
  }
  if (!listening) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address, " for administration: ", strerror(errno)));
  }
  impl_->thread = base::StartThread("admin", [this](std::stop_token) { impl_->server.listen_after_bind(); });
  // stop() before the accept loop runs would be lost.
  while (!impl_->server.is_running()) std::this_thread::yield();
  return bound;
}

}  // namespace mayfly::admin
