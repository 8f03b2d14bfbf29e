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
  std::string_view path;
};

// Takes the hexadecimal number at the start of `text` off it.
std::optional<std::uint64_t> TakeHex(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// "7f0000000000-7f0000001000 r-xp 00001000 fe:00 123   /path"
std::optional<Mapping> ParseLine(std::string_view line) {
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
  return Mapping{*begin, *end, *offset, line.substr(path)};
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

std::string Where(const symbolizer::FileOffset& frame) {
  if (frame.path.empty()) return fmt::format("{:#x}", frame.offset);
  return fmt::format("{}+{:#x}", NameOf(frame.path), frame.offset);
}

}  // namespace

std::vector<symbolizer::FileOffset> LocateFrames(const CrashNotes& notes) {
  std::vector<Mapping> mappings;
  std::string_view rest = notes.maps;
  while (!rest.empty()) {
    const std::size_t newline = rest.find('\n');
    if (auto mapping = ParseLine(rest.substr(0, newline))) mappings.push_back(*mapping);
    if (newline == std::string_view::npos) break;
    rest.remove_prefix(newline + 1);
  }
  std::vector<symbolizer::FileOffset> frames;
  for (const std::uint64_t address : notes.frames) {
    symbolizer::FileOffset& frame = frames.emplace_back();
    frame.offset = address;
    for (const Mapping& mapping : mappings) {
      if (address < mapping.begin || address >= mapping.end) continue;
      frame = {address - mapping.begin + mapping.offset, std::string(mapping.path)};
      break;
    }
  }
  return frames;
}

std::vector<std::string> DescribeFrames(std::span<const symbolizer::FileOffset> frames,
                                        std::span<const symbolizer::Answer> answers) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const std::string where = Where(frames[i]);
    const std::size_t before = lines.size();
    for (const symbolizer::Answer& answer : answers) {
      if (answer.frame == i) lines.push_back(answer.text);
    }
    if (lines.size() == before) {
      lines.push_back(where);
      continue;
    }
    for (std::size_t line = before; line + 1 < lines.size(); ++line) lines[line] += " (inlined)";
    lines.back() += " (" + where + ")";
  }
  for (std::size_t i = 0; i < lines.size(); ++i) lines[i] = fmt::format("#{} {}", i, lines[i]);
  return lines;
}

}  // namespace mayfly::runtime
