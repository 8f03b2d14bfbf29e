// What the loader's tests share: files, and module files to copy and damage.
#pragma once

#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "base/testing/temp_dir.h"

namespace mayfly::runtime::testing {

inline std::string ModulePath(std::string_view name) {
  return std::string(LOADER_TEST_DIR "/") + std::string(name) + ".so";
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

using base::TempDir;
using base::WriteFile;

}  // namespace mayfly::runtime::testing
