#include "base/line_sink.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/thread.h"

namespace mayfly::base {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{300};

// The thread looks this often whether it should end.
constexpr int kPollMs = 100;

}  // namespace

LineSink::LineSink(int fd, std::function<std::string(std::uint64_t)> tell, bool reopen)
    : fd_(fd), tell_(std::move(tell)) {
  Open(reopen);
}

LineSink::~LineSink() { End(); }

void LineSink::Open(bool reopen) {
  target_ = fd_;
  struct stat info{};
  if (::fstat(fd_, &info) != 0) return;
  if (S_ISSOCK(info.st_mode)) {
    way_ = Way::kSocket;
  } else if (!S_ISFIFO(info.st_mode) && !S_ISCHR(info.st_mode)) {
    way_ = Way::kAtOnce;  // a file
  } else {
    way_ = Way::kPolled;
    if (!reopen) return;
    const std::string path = "/proc/self/fd/" + std::to_string(fd_);
    own_.Reset(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!own_) return;
    target_ = own_.get();
    way_ = Way::kAtOnce;
  }
}

std::size_t LineSink::TryWrite(std::string_view text) const {
  std::size_t written = 0;
  while (written < text.size()) {
    const char* const from = text.data() + written;
    const std::size_t left = text.size() - written;
    const ssize_t size = way_ == Way::kSocket ? ::send(target_, from, left, MSG_DONTWAIT | MSG_NOSIGNAL)
                                              : ::write(target_, from, left);
    if (size >= 0) {
      written += static_cast<std::size_t>(size);
      if (way_ == Way::kPolled) break;  // a second one might wait
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      return text.size();
    }
  }
  return written;
}

bool LineSink::Write(std::string line, std::size_t most_queued) {
  if (way_ == Way::kNowhere) return true;
  line += '\n';
  const std::lock_guard lock(mutex_);
  if (way_ != Way::kPolled && Idle()) {
    const std::size_t written = TryWrite(line);
    if (written == line.size()) return true;
    line.erase(0, written);  // begun, so it is queued however long it is
  } else if (queue_.size() + writing_ + line.size() > most_queued) {
    ++dropped_;
    ++untold_;
    return false;
  }
  if (!thread_.joinable() && !ended_) {
    try {
      thread_ = StartThread("log", [this](const std::stop_token& stop) { Run(stop); });
    } catch (const std::system_error&) {
      // No thread is to be had: the next line tries again.
    }
  }
  if (!thread_.joinable()) {
    ++dropped_;
    ++untold_;
    return false;
  }
  queue_ += line;
  filled_.notify_one();
  return true;
}

void LineSink::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (filled_.wait(lock, stop, [this] { return !queue_.empty(); })) {
    const std::string text = std::exchange(queue_, {});
    for (std::size_t at = 0; at < text.size() && !stop.stop_requested();) {
      writing_ = text.size() - at;
      lock.unlock();
      pollfd polled{target_, POLLOUT, 0};
      if (::poll(&polled, 1, kPollMs) > 0) {
        // A pipe that is ready has room for this much.
        const std::size_t most = way_ == Way::kPolled ? PIPE_BUF : text.size();
        at += TryWrite(std::string_view(text).substr(at, most));
      }
      lock.lock();
    }
    writing_ = 0;
    if (untold_ > 0 && queue_.size() < kMostBytes / 2) {
      queue_.append(tell_(untold_)).append("\n");
      untold_ = 0;
    }
    if (queue_.empty()) idle_.notify_all();
  }
}

std::uint64_t LineSink::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

bool LineSink::Flush(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline, [this] { return Idle(); });
}

void LineSink::End() {
  const bool flushed = Flush(std::chrono::steady_clock::now() + kPatience);
  std::jthread thread;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    // A write that waits after all, on a descriptor that could not be opened again, ends with the process only.
    if (!flushed && way_ == Way::kPolled) return;
    thread = std::move(thread_);
  }
}

}  // namespace mayfly::base
