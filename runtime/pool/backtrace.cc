#include "runtime/pool/backtrace.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mayfly::runtime {
namespace {

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  std::string name;
};

// Takes the hexadecimal number at the start of `text` off it.
std::optional<std::uint64_t> TakeHex(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// The file's name alone, and nothing in it that could break a line of a log.
std::string NameOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  std::string name(slash == std::string_view::npos ? path : path.substr(slash + 1));
  for (char& c : name) {
    if (c <= ' ' || c > '~') c = '?';
  }
  return name;
}

// "7f0000000000-7f0000001000 r-xp 00001000 fe:00 123   /path"
std::optional<Mapping> ParseLine(std::string_view line) {
  Mapping mapping;
  const auto begin = TakeHex(line);
  if (!begin || line.empty()) return std::nullopt;
  line.remove_prefix(1);
  const auto end = TakeHex(line);
  constexpr std::size_t kPermissions = 6;  // with a space on either side
  if (!end || line.size() < kPermissions) return std::nullopt;
  line.remove_prefix(kPermissions);
  const auto offset = TakeHex(line);
  const std::size_t path = line.find('/');
  if (!offset || path == std::string_view::npos) return std::nullopt;
  return Mapping{*begin, *end, *offset, NameOf(line.substr(path))};
}

}  // namespace

std::vector<std::string> DescribeFrames(const CrashNotes& notes) {
  std::vector<Mapping> mappings;
  std::string_view rest = notes.maps;
  while (!rest.empty()) {
    const std::size_t newline = rest.find('\n');
    if (auto mapping = ParseLine(rest.substr(0, newline))) mappings.push_back(std::move(*mapping));
    if (newline == std::string_view::npos) break;
    rest.remove_prefix(newline + 1);
  }
  std::vector<std::string> lines;
  for (const std::uint64_t frame : notes.frames) {
    std::string line = fmt::format("{:#x}", frame);
    for (const Mapping& mapping : mappings) {
      if (frame < mapping.begin || frame >= mapping.end) continue;
      line = fmt::format("{}+{:#x}", mapping.name, frame - mapping.begin + mapping.offset);
      break;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace mayfly::runtime
