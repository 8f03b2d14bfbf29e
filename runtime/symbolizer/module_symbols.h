// The symbols and line tables of one ELF file: from a place in the file to the functions that are there.
//
// The file may be hostile, and libdw is large: use it in a process that has nothing to lose. Reads that file
// alone, no separate debug information. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mayfly::symbolizer {

class ModuleSymbols {
 public:
  // Reads from `fd`, and closes it.
  explicit ModuleSymbols(int fd);
  ~ModuleSymbols();

  // The function there and, before it, those inlined into it at that place, innermost first, at most kMaxInlined.
  // "resize(Image const&) at src/thumbnail.cc:42", or "resize(Image const&)+0x12" where there is no line table.
  // Nothing if nothing is known.
  std::vector<std::string> Describe(std::uint64_t file_offset) const;

  static constexpr std::size_t kMaxInlined = 8;

 private:
  struct Session;
  std::unique_ptr<Session> session_;  // null if the file is none that can be read
};

}  // namespace mayfly::symbolizer
