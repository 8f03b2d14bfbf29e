// The control socket between a pool and its fork server: SOCK_SEQPACKET, one message, one struct.
//
// The pool sends SpawnCommand with three descriptors (channel, doorbell, log); a fork server answers with
// ServerMessage. The kernel stamps each ServerMessage with its sender's pid; whatever else it holds is
// hostile.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace mayfly::ipc {

struct SpawnCommand {
  std::uint64_t token;  // names the worker in the answer
};
inline constexpr std::size_t kSpawnDescriptors = 3;

enum class ServerMessageKind : std::uint32_t {
  kReady = 1,      // create() is done: flags, times, text is the handler's name
  kRefused = 2,    // it will not be: text is "Reason\0sentence"
  kBorn = 3,       // sent by the new worker itself
  kForkFailed = 4  // value is errno
};

inline constexpr std::uint32_t kReadyForks = 1;

struct ServerMessage {
  ServerMessageKind kind;
  std::uint32_t flags;
  std::uint64_t token;
  std::uint64_t map_us;
  std::uint64_t init_us;
  std::int32_t value;
  std::uint32_t text_size;
  char text[2048];
};

// Sends without blocking; false with errno on failure.
bool SendCommand(int socket, const SpawnCommand& command, const std::array<int, kSpawnDescriptors>& fds);
bool SendMessage(int socket, const ServerMessage& message);

// Tells a program that its launch block is there; and waits for that: false if the other end is gone.
bool SendGo(int socket);
bool AwaitGo(int socket);

enum class Received { kMessage, kNothing, kClosed, kMalformed };

// Blocks if the socket does. Descriptors are close-on-exec.
Received ReceiveCommand(int socket, SpawnCommand& command, std::array<int, kSpawnDescriptors>& fds);
// `sender` is what the kernel says, 0 if it says nothing. text_size is checked.
Received ReceiveMessage(int socket, ServerMessage& message, pid_t& sender);

}  // namespace mayfly::ipc
