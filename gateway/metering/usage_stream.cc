#include "gateway/metering/usage_stream.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace mayfly::gateway {

absl::Status UsageStream::Append(const std::string& lines) {
  constexpr int kPatienceMs = 1000;
  if (unwritten_.empty()) unwritten_ = lines;
  while (!unwritten_.empty()) {
    pollfd ready{fd_, POLLOUT, 0};
    const int polled = ::poll(&ready, 1, kPatienceMs);
    if (polled < 0 && errno == EINTR) continue;
    if (polled == 0) return absl::DeadlineExceededError("nobody reads the usage records");
    if (polled < 0) return base::ErrnoStatus(errno, "writing usage records");
    // A pipe that is ready takes so much without a wait.
    const ssize_t wrote = ::write(fd_, unwritten_.data(), std::min<std::size_t>(unwritten_.size(), PIPE_BUF));
    if (wrote < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (wrote < 0) return base::ErrnoStatus(errno, "writing usage records");
    unwritten_.erase(0, static_cast<std::size_t>(wrote));
  }
  return absl::OkStatus();
}

}  // namespace mayfly::gateway
