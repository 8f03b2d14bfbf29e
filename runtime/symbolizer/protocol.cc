#include "runtime/symbolizer/protocol.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace mayfly::symbolizer {
namespace {

// Takes the number at the start of `text`, and the space behind it, off it.
std::optional<std::uint64_t> TakeNumber(std::string_view& text, int base) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end == text.data() + text.size() || *end != ' ') return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return number;
}

// Takes the first line, without its end, off `text`; nothing if it is not complete.
std::optional<std::string_view> TakeLine(std::string_view& text) {
  const std::size_t newline = text.find('\n');
  if (newline == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, newline);
  text.remove_prefix(newline + 1);
  return line;
}

bool FitsALine(std::string_view path) {
  return path.size() <= kMaxPathBytes && path.find('\n') == std::string_view::npos &&
         path.find('\0') == std::string_view::npos;
}

std::string Printable(std::string_view text) {
  std::string printable(text.substr(0, kMaxTextBytes));
  std::replace_if(printable.begin(), printable.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return printable;
}

}  // namespace

std::string WriteQuestion(std::span<const FileOffset> frames) {
  std::string text;
  for (const FileOffset& frame : frames.first(std::min(frames.size(), kMaxFrames))) {
    char digits[16];
    const char* end = std::to_chars(digits, digits + sizeof(digits), frame.offset, 16).ptr;
    text.append(digits, static_cast<std::size_t>(end - digits)) += ' ';
    if (FitsALine(frame.path)) text += frame.path;
    text += '\n';
  }
  return text;
}

std::vector<FileOffset> ParseQuestion(std::string_view text) {
  std::vector<FileOffset> frames;
  while (frames.size() < kMaxFrames) {
    auto line = TakeLine(text);
    if (!line) break;
    FileOffset& frame = frames.emplace_back();
    const auto offset = TakeNumber(*line, 16);
    if (offset && FitsALine(*line)) frame = {*offset, std::string(*line)};
  }
  return frames;
}

std::string WriteAnswer(const Answer& answer) {
  return std::to_string(answer.frame) + " " + Printable(answer.text) + "\n";
}

std::vector<Answer> ParseAnswers(std::string_view text, std::size_t frames) {
  std::vector<Answer> answers;
  while (answers.size() < kMaxAnswers) {
    auto line = TakeLine(text);
    if (!line) break;
    const auto frame = TakeNumber(*line, 10);
    if (!frame || *frame >= frames || line->empty()) continue;
    answers.push_back({static_cast<std::size_t>(*frame), Printable(*line)});
  }
  return answers;
}

}  // namespace mayfly::symbolizer
