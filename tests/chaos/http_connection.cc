#include "tests/chaos/http_connection.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace mayfly::chaos {
namespace {

absl::Status Cut(int error, const char* when) {
  return absl::UnavailableError(absl::StrCat("the connection was cut ", when, error == 0 ? "" : ": ",
                                             error == 0 ? "" : std::strerror(error)));
}

}  // namespace

absl::StatusOr<Answer> HttpConnection::Post(const std::string& target, const std::string& body,
                                            Time deadline) {
  if (!socket_) {
    if (absl::Status status = Connect(); !status.ok()) return status;
  }
  const std::string request =
      absl::StrCat("POST ", target,
                   " HTTP/1.1\r\nHost: storm\r\nContent-Type: text/plain\r\nContent-Length: ", body.size(),
                   "\r\n\r\n", body);
  absl::StatusOr<Answer> answer;
  if (absl::Status status = Send(request, deadline); !status.ok()) {
    answer = std::move(status);
  } else {
    answer = Receive(deadline);
  }
  if (!answer.ok() || !keep_) socket_.Reset();
  return answer;
}

absl::Status HttpConnection::Connect() {
  input_.clear();
  keep_ = true;
  socket_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    socket_.Reset();
    return absl::UnavailableError(absl::StrCat("cannot connect: ", std::strerror(error)));
  }
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return absl::OkStatus();
}

absl::Status HttpConnection::Send(std::string_view bytes, Time deadline) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(size));
    } else if (errno == EAGAIN) {
      if (absl::Status status = WaitFor(POLLOUT, deadline); !status.ok()) return status;
    } else if (errno != EINTR) {
      return Cut(errno, "while the request was sent");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Answer> HttpConnection::Receive(Time deadline) {
  std::size_t head = 0;
  while ((head = input_.find("\r\n\r\n")) == std::string::npos) {
    if (absl::Status status = Fill(deadline); !status.ok()) return status;
  }
  const std::vector<std::string> lines = absl::StrSplit(input_.substr(0, head), "\r\n");
  Answer answer;
  std::size_t length = std::string::npos;
  if (!lines[0].starts_with("HTTP/1.1 ") || !absl::SimpleAtoi(lines[0].substr(9, 3), &answer.status)) {
    return absl::InvalidArgumentError(absl::StrCat("no status line of HTTP/1.1: ", lines[0]));
  }
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(lines[i], absl::MaxSplits(':', 1));
    const absl::string_view value = absl::StripAsciiWhitespace(field.second);
    if (absl::EqualsIgnoreCase(field.first, "content-length") && !absl::SimpleAtoi(value, &length)) {
      return absl::InvalidArgumentError(absl::StrCat("no length: ", lines[i]));
    }
    if (absl::EqualsIgnoreCase(field.first, "connection")) keep_ = !absl::EqualsIgnoreCase(value, "close");
  }
  if (length == std::string::npos) return absl::InvalidArgumentError("an answer without Content-Length");
  input_.erase(0, head + 4);
  while (input_.size() < length) {
    if (absl::Status status = Fill(deadline); !status.ok()) return status;
  }
  answer.body = input_.substr(0, length);
  input_.erase(0, length);
  if (!input_.empty()) return absl::InvalidArgumentError("more than the answer came");
  return answer;
}

absl::Status HttpConnection::Fill(Time deadline) {
  for (;;) {
    char buffer[16u << 10];
    const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (size > 0) {
      input_.append(buffer, static_cast<std::size_t>(size));
      return absl::OkStatus();
    }
    if (size == 0) return Cut(0, input_.empty() ? "without an answer" : "within the answer");
    if (errno == EAGAIN) {
      if (absl::Status status = WaitFor(POLLIN, deadline); !status.ok()) return status;
    } else if (errno != EINTR) {
      return Cut(errno, "before the answer was whole");
    }
  }
}

absl::Status HttpConnection::WaitFor(short events, Time deadline) {
  pollfd poll{socket_.get(), events, 0};
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::DeadlineExceededError("no whole answer by the deadline");
    const int ready = ::poll(&poll, 1, static_cast<int>(left.count()));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return base::ErrnoStatus(errno, "cannot wait for the connection");
  }
}

}  // namespace mayfly::chaos
