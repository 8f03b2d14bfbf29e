// A raw HTTP client for tests: it sends any bytes and reads what comes, on a blocking socket with a deadline.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"

namespace mayfly::gateway {

class TestClient {
 public:
  explicit TestClient(const std::string& address, int receive_buffer = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) {
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    const timeval limit{10, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    const std::size_t colon = address.rfind(':');
    to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    connected_ = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
  }

  bool connected() const { return connected_; }
  int fd() const { return socket_.get(); }

  // False if the server has gone or takes nothing any more.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void ShutDownSending() { ::shutdown(socket_.get(), SHUT_WR); }
  // Closes with a reset.
  void Reset() {
    const linger hard{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    socket_.Reset();
  }

  // Everything up to the end of the stream; what was read if nothing comes for 10 s, with "(silence)".
  std::string ReadAll() {
    while (ReadSome()) {
    }
    std::string all = std::move(buffer_);
    buffer_.clear();
    return ended_ ? all : all + "(silence)";
  }
  // Up to and with `mark`; what there is if the stream ends before.
  std::string ReadUntil(std::string_view mark) {
    std::size_t found;
    while ((found = buffer_.find(mark)) == std::string::npos && ReadSome()) {
    }
    const std::size_t end = found == std::string::npos ? buffer_.size() : found + mark.size();
    std::string result = buffer_.substr(0, end);
    buffer_.erase(0, end);
    return result;
  }
  // One answer with a Content-Length.
  std::string ReadAnswer() {
    std::string answer = ReadUntil("\r\n\r\n");
    const std::size_t at = answer.find("Content-Length: ");
    const std::size_t length =
        at == std::string::npos ? 0 : std::strtoul(answer.c_str() + at + 16, nullptr, 10);
    while (buffer_.size() < length && ReadSome()) {
    }
    answer += buffer_.substr(0, length);
    buffer_.erase(0, length);
    return answer;
  }

 private:
  bool ReadSome() {
    char bytes[16 * 1024];
    const ssize_t got = ::recv(socket_.get(), bytes, sizeof(bytes), 0);
    if (got <= 0) {
      ended_ = got == 0 || errno == ECONNRESET;
      return false;
    }
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  base::FileDescriptor socket_;
  bool connected_ = false;
  bool ended_ = false;
  std::string buffer_;
};

}  // namespace mayfly::gateway
