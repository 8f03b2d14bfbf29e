// The Transport over TLS, with libcurl. docs/decisions/0006-libcurl-for-kubernetes.md says why.
//
// HTTP/1.1: each request has a connection of its own while it lasts, so that a watch that hangs holds up no
// lease renewal; connections are kept alive and used again. A connection whose other end is gone is noticed
// by TCP within about 30 s, whether it sends (TCP_USER_TIMEOUT) or only listens (keepalive).
//
// Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "operator/kube/credentials.h"
#include "operator/kube/transport.h"

namespace mayfly::kube {

class CurlTransport final : public Transport {
 public:
  // `credentials` must outlive the transport. `user_agent` names this program in the server's audit log.
  CurlTransport(Credentials& credentials, std::string user_agent);
  // REQUIRES: no call is under way.
  ~CurlTransport() override;

  // An answer of 401 makes the credentials stale and is tried once more with new ones.
  absl::StatusOr<HttpResponse> Send(const HttpRequest& request, const TransferOptions& options) override;

 private:
  class Connection;

  std::unique_ptr<Connection> Take();
  void GiveBack(std::unique_ptr<Connection> connection);

  Credentials& credentials_;
  const std::string user_agent_;

  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;  // guarded by mutex_
};

}  // namespace mayfly::kube
