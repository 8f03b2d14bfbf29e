#include "gateway/bin/check.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"
#include "base/host_port.h"

namespace mayfly::gateway {

absl::Status CheckAnswers(const std::string& address, std::chrono::milliseconds patience) {
  const std::optional<base::HostPort> to = base::SplitHostPort(address);
  if (!to) return absl::InvalidArgumentError(address + " is no HOST:PORT");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(to->host.c_str(), std::to_string(to->port).c_str(), &hints, &found);
  if (error != 0) return absl::UnavailableError(absl::StrCat(address, ": ", ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  const base::FileDescriptor socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{patience.count() / 1000, patience.count() % 1000 * 1000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));  // connect() too
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  if (::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0)
    return base::ErrnoStatus(errno, "connecting to " + address);
  const std::string request =
      absl::StrCat("GET / HTTP/1.1\r\nHost: ", address, "\r\nConnection: close\r\n\r\n");
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return base::ErrnoStatus(errno, "sending to " + address);
  char answer[16] = {};
  const ssize_t size = ::recv(socket.get(), answer, sizeof(answer) - 1, MSG_WAITALL);
  if (size < 0) return base::ErrnoStatus(errno, "waiting for an answer of " + address);
  if (!std::string(answer).starts_with("HTTP/1."))
    return absl::UnavailableError(address + " gives no HTTP answer");
  return absl::OkStatus();
}

}  // namespace mayfly::gateway
