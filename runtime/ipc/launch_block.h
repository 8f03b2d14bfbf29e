// What a mayfly-worker is started with: not in its arguments, which any process may read, but in a memfd, which is filled
// when it is told so on its control socket: it may be started before its module is known.
//
// The memfd begins with a CrashReport, in which a fork server that dies in create() tells why; then come the
// strings, each a 32-bit size and its bytes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/ipc/layout.h"

namespace mayfly::ipc {

struct LaunchBlock {
  std::string label;  // for people who look at ps
  std::string module_path;
  std::string handler;  // "" if the module has only one
  std::string config_json;
  std::string temporary_folder;  // the only place where user code may write
  std::vector<std::pair<std::string, std::string>> environment;
  std::uint64_t memory_bytes = 0;       // bounds the address space's data
  std::uint32_t max_tasks = 0;          // processes and threads of the fork server and all its workers
  std::uint64_t max_request_bytes = 0;  // fixes the channel's size
  std::int32_t runtime_pid = 0;
  bool sandbox = true;
};

// The program's one argument is so many blanks, over which it writes the label.
inline constexpr std::size_t kLabelBytes = 128;

inline constexpr std::size_t kLaunchTextOffset = RoundUp(sizeof(CrashReport), kPageBytes);

// The bytes that go behind the CrashReport, and back. Decode is false for anything that Encode did not make.
std::string Encode(const LaunchBlock& block);
bool Decode(const char* data, std::size_t size, LaunchBlock& block);

}  // namespace mayfly::ipc
