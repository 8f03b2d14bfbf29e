#include "operator/local/function_log.h"

#include <algorithm>

namespace mayfly::op {

void LogBook::Append(const std::string& function, std::string replica, std::string text) {
  {
    const std::lock_guard lock(mutex_);
    Log& log = logs_[function];
    log.bytes += text.size();
    log.lines.push_back(
        LogLine{++last_, std::chrono::system_clock::now(), std::move(replica), std::move(text)});
    while (log.lines.size() > limits_.lines || (log.bytes > limits_.bytes && log.lines.size() > 1)) {
      log.bytes -= log.lines.front().text.size();
      log.lines.pop_front();
    }
  }
  changed_.notify_all();
}

std::vector<LogLine> LogBook::Tail(const std::string& function, std::size_t count) const {
  const std::lock_guard lock(mutex_);
  const auto it = logs_.find(function);
  if (it == logs_.end()) return {};
  const std::deque<LogLine>& lines = it->second.lines;
  const std::size_t take = std::min(count, lines.size());
  return {lines.end() - static_cast<std::ptrdiff_t>(take), lines.end()};
}

std::vector<LogLine> LogBook::After(const std::string& function, std::uint64_t after, std::size_t count,
                                    std::chrono::steady_clock::time_point deadline) const {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] {
    const auto it = logs_.find(function);
    return closed_ ||
           (it != logs_.end() && !it->second.lines.empty() && it->second.lines.back().number > after);
  });
  const auto it = logs_.find(function);
  if (it == logs_.end()) return {};
  const std::deque<LogLine>& lines = it->second.lines;
  const auto first =
      std::upper_bound(lines.begin(), lines.end(), after,
                       [](std::uint64_t number, const LogLine& line) { return number < line.number; });
  const auto take = std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(count), lines.end() - first);
  return {first, first + take};
}

void LogBook::Forget(const std::string& function) {
  const std::lock_guard lock(mutex_);
  logs_.erase(function);
}

void LogBook::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

}  // namespace mayfly::op
