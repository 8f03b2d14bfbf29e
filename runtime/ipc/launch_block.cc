#include "runtime/ipc/launch_block.h"

#include <cstring>
#include <string_view>

namespace mayfly::ipc {
namespace {

template <typename T>
void PutNumber(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void PutText(std::string& out, std::string_view text) {
  PutNumber(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

struct Cursor {
  const char* at;
  std::size_t left;

  template <typename T>
  bool Number(T& value) {
    if (left < sizeof(value)) return false;
    std::memcpy(&value, at, sizeof(value));
    at += sizeof(value);
    left -= sizeof(value);
    return true;
  }
  bool Text(std::string& text) {
    std::uint32_t size = 0;
    if (!Number(size) || size > left) return false;
    text.assign(at, size);
    at += size;
    left -= size;
    return true;
  }
};

}  // namespace

std::string Encode(const LaunchBlock& block) {
  std::string out;
  PutText(out, block.label);
  PutText(out, block.module_path);
  PutText(out, block.handler);
  PutText(out, block.config_json);
  PutText(out, block.temporary_folder);
  PutNumber(out, block.memory_bytes);
  PutNumber(out, block.max_tasks);
  PutNumber(out, block.max_request_bytes);
  PutNumber(out, block.runtime_pid);
  PutNumber(out, static_cast<std::uint32_t>(block.sandbox));
  PutNumber(out, static_cast<std::uint32_t>(block.environment.size()));
  for (const auto& [name, value] : block.environment) {
    PutText(out, name);
    PutText(out, value);
  }
  return out;
}

bool Decode(const char* data, std::size_t size, LaunchBlock& block) {
  Cursor cursor{data, size};
  std::uint32_t sandbox = 0;
  std::uint32_t count = 0;
  if (!cursor.Text(block.label) || !cursor.Text(block.module_path) || !cursor.Text(block.handler) ||
      !cursor.Text(block.config_json) || !cursor.Text(block.temporary_folder) ||
      !cursor.Number(block.memory_bytes) || !cursor.Number(block.max_tasks) ||
      !cursor.Number(block.max_request_bytes) || !cursor.Number(block.runtime_pid) ||
      !cursor.Number(sandbox) || !cursor.Number(count)) {
    return false;
  }
  block.sandbox = sandbox != 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::pair<std::string, std::string> variable;
    if (!cursor.Text(variable.first) || !cursor.Text(variable.second)) return false;
    block.environment.push_back(std::move(variable));
  }
  return cursor.left == 0;
}

}  // namespace mayfly::ipc
