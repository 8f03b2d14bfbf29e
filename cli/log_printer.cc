#include "cli/log_printer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/thread.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

constexpr std::size_t kMostLines = 4'096;

// Writes it all, or gives up once `stop` is requested and nobody reads.
void WriteOut(const std::string& text, const std::stop_token& stop) {
  constexpr int kMilliseconds = 100;
  for (std::size_t at = 0; at < text.size();) {
    pollfd polled{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&polled, 1, kMilliseconds) <= 0) {
      if (stop.stop_requested()) return;
      continue;
    }
    const ssize_t size = ::write(STDERR_FILENO, text.data() + at, text.size() - at);
    if (size < 0 && errno != EINTR && errno != EAGAIN) return;
    if (size > 0) at += static_cast<std::size_t>(size);
  }
}

}  // namespace

LogPrinter::LogPrinter(bool pretty)
    : pretty_(pretty),
      thread_(base::StartThread("log", [this](const std::stop_token& stop) { Run(stop); })) {}

LogPrinter::~LogPrinter() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void LogPrinter::Print(const std::string& function, std::string_view line) {
  {
    const std::lock_guard lock(mutex_);
    if (lines_.size() >= kMostLines) {
      ++dropped_;
      return;
    }
    lines_.push_back(Shown(function, line));
  }
  filled_.notify_one();
}

void LogPrinter::Run(const std::stop_token& stop) {
  for (;;) {
    std::string text;
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, stop, [this] { return !lines_.empty(); });
      if (lines_.empty()) return;  // stopped
      for (const std::string& line : lines_) text += line;
      lines_.clear();
      if (dropped_ > 0) {
        absl::StrAppend(&text, "mayfly: ", dropped_, " lines are not shown here, as they came too fast\n");
        dropped_ = 0;
      }
    }
    WriteOut(text, stop);
  }
}

std::string LogPrinter::Shown(const std::string& function, std::string_view line) const {
  if (!pretty_) return std::string(line) + "\n";
  std::string name = function.starts_with("default/") ? function.substr(8) : function;
  std::string text(line);
  if (line.find("level=error") != std::string_view::npos) {
    text = Paint(text, Colour::kRed);
  } else if (line.find("level=warn") != std::string_view::npos) {
    text = Paint(text, Colour::kYellow);
  }
  return absl::StrCat(Paint(name, Colour::kBlue), " ", text, "\n");
}

}  // namespace mayfly::cli
