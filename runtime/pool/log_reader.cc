#include "runtime/pool/log_reader.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"

namespace mayfly::runtime {
namespace {

constexpr std::size_t kMaxLine = 16u << 10;
constexpr std::uint32_t kLinesPerSecond = 1'000;
constexpr int kReadsAtOnce = 8;

// What host->log() was given: see Log() in runtime/worker/host.cc.
std::string Unescape(std::string_view line) {
  std::string text;
  text.reserve(line.size());
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\' || i + 1 == line.size()) {
      text += line[i];
      continue;
    }
    ++i;
    text += line[i] == 'n' ? '\n' : line[i] == 'r' ? '\r' : line[i];
  }
  return text;
}

}  // namespace

LogReader::LogReader(base::FileDescriptor pipe, std::string function, std::string revision)
    : pipe_(std::move(pipe)),
      function_(std::move(function)),
      revision_(std::move(revision)),
      budget_(kLinesPerSecond),
      refilled_(std::chrono::steady_clock::now()) {}

void LogReader::Given(std::uint32_t number, std::string id, bool among_others) {
  given_[number % kRemembered] = {number, std::move(id)};
  last_ = number;
  alone_ = !among_others;
}

std::string_view LogReader::InvocationOf(std::uint32_t number) const {
  const Invocation& invocation = given_[number % kRemembered];
  return invocation.number == number ? std::string_view(invocation.id) : std::string_view();
}

bool LogReader::ReadSome() {
  char buffer[16u << 10];
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const ssize_t size = read(pipe_.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    std::string_view rest(buffer, static_cast<std::size_t>(size));
    while (!rest.empty()) {
      const std::size_t newline = rest.find('\n');
      const std::string_view piece = rest.substr(0, newline);
      if (!cutting_) held_.append(piece.substr(0, kMaxLine - std::min(kMaxLine, held_.size())));
      if (held_.size() >= kMaxLine) cutting_ = true;
      if (newline == std::string_view::npos) break;
      rest.remove_prefix(newline + 1);
      Line(held_);
      held_.clear();
      cutting_ = false;
    }
  }
  return true;
}

void LogReader::Finish() {
  if (!held_.empty()) Line(held_);
  held_.clear();
}

bool LogReader::Allowed() {
  const auto now = std::chrono::steady_clock::now();
  if (now - refilled_ >= std::chrono::seconds(1)) {
    refilled_ = now;
    budget_ = kLinesPerSecond;
    if (dropped_ != 0) {
      base::log::Warn("log lines dropped", {{"function", function_}, {"pid", pid_}, {"count", dropped_}});
      dropped_ = 0;
    }
  }
  if (budget_ == 0) {
    ++dropped_;
    return false;
  }
  --budget_;
  return true;
}

void LogReader::Line(std::string_view line) {
  if (line.empty() || !Allowed()) return;
  auto level = base::log::Level::kInfo;
  std::string_view invocation;
  std::string text;
  if (line.size() > 2 && line[0] == '\x01') {
    if (line[1] >= '0' && line[1] <= '3') level = static_cast<base::log::Level>(line[1] - '0');
    const std::size_t blank = line.find(' ');
    std::uint32_t number = 0;
    const char* const digits = line.data() + 2;
    std::from_chars(digits, line.data() + std::min(blank, line.size()), number);
    invocation = InvocationOf(number);
    line.remove_prefix(blank == std::string_view::npos ? 2 : blank + 1);
    text = Unescape(line);
    line = text;
  } else {
    printed_ = true;
    if (alone_) invocation = InvocationOf(last_);
  }
  if (!base::log::Enabled(level)) return;
  if (invocation.empty()) {
    base::log::Write(level, line, {{"function", function_}, {"revision", revision_}, {"pid", pid_}});
  } else {
    base::log::Write(
        level, line,
        {{"function", function_}, {"revision", revision_}, {"pid", pid_}, {"invocation", invocation}});
  }
}

}  // namespace mayfly::runtime
