#include "runtime/ipc/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mayfly::ipc {
namespace {

ssize_t Receive(int socket, msghdr& header, int flags) {
  ssize_t size;
  do {
    size = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  return size;
}

Received FromSize(ssize_t size, std::size_t expected, const msghdr& header) {
  if (size == 0) return Received::kClosed;
  if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Received::kNothing : Received::kClosed;
  if (static_cast<std::size_t>(size) != expected || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Received::kMalformed;
  }
  return Received::kMessage;
}

}  // namespace

bool SendCommand(int socket, const SpawnCommand& command, const std::array<int, kSpawnDescriptors>& fds) {
  SpawnCommand copy = command;
  iovec data{&copy, sizeof(copy)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kSpawnDescriptors)] = {};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * kSpawnDescriptors);
  memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * kSpawnDescriptors);
  return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(sizeof(copy));
}

bool SendMessage(int socket, const ServerMessage& message) {
  ssize_t size;
  do {
    size = send(socket, &message, sizeof(message), MSG_NOSIGNAL);
  } while (size < 0 && errno == EINTR);
  return size == static_cast<ssize_t>(sizeof(message));
}

bool SendGo(int socket) { return send(socket, "g", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1; }

bool AwaitGo(int socket) {
  char go = 0;
  ssize_t size;
  do {
    size = recv(socket, &go, 1, 0);
  } while (size < 0 && errno == EINTR);
  return size == 1;
}

Received ReceiveCommand(int socket, SpawnCommand& command, std::array<int, kSpawnDescriptors>& fds) {
  iovec data{&command, sizeof(command)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kSpawnDescriptors)];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size = Receive(socket, header, 0);
  const Received received = FromSize(size, sizeof(command), header);
  if (received != Received::kMessage) return received;
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS ||
      rights->cmsg_len != CMSG_LEN(sizeof(int) * kSpawnDescriptors)) {
    return Received::kMalformed;
  }
  memcpy(fds.data(), CMSG_DATA(rights), sizeof(int) * kSpawnDescriptors);
  return Received::kMessage;
}

Received ReceiveMessage(int socket, ServerMessage& message, pid_t& sender) {
  iovec data{&message, sizeof(message)};
  // Room for descriptors that nobody asked for, so that they can be closed.
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int) * 253)];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size = Receive(socket, header, MSG_DONTWAIT);
  sender = 0;
  if (size > 0) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
      if (part->cmsg_level != SOL_SOCKET) continue;
      if (part->cmsg_type == SCM_CREDENTIALS && part->cmsg_len == CMSG_LEN(sizeof(ucred))) {
        ucred credentials;
        memcpy(&credentials, CMSG_DATA(part), sizeof(credentials));
        sender = credentials.pid;
      } else if (part->cmsg_type == SCM_RIGHTS) {
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
          int fd;
          memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
          close(fd);
        }
      }
    }
  }
  const Received received = FromSize(size, sizeof(message), header);
  if (received == Received::kMessage && message.text_size > sizeof(message.text)) return Received::kMalformed;
  return received;
}

}  // namespace mayfly::ipc
