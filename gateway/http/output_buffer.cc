#include "gateway/http/output_buffer.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

namespace mayfly::gateway {
namespace {

// From here on a piece is sent from where it is rather than copied.
constexpr std::size_t kLarge = 8 * 1024;
// What an idle connection may keep.
constexpr std::size_t kKept = 1024;

}  // namespace

std::string& OutputBuffer::tail() {
  if (pieces_.empty() || sealed_ || pieces_.back().size() >= kLarge * 2) {
    pieces_.emplace_back();
    sealed_ = false;
  }
  return pieces_.back();
}

void OutputBuffer::Append(std::string&& bytes) {
  if (bytes.size() < kLarge) {
    tail().append(bytes);
    return;
  }
  pieces_.push_back(std::move(bytes));
  sealed_ = true;
}

std::size_t OutputBuffer::size() const {
  std::size_t size = 0;
  for (const std::string& piece : pieces_) size += piece.size();
  return size - offset_;
}

OutputBuffer::Written OutputBuffer::SendTo(int fd) {
  while (size() > 0) {
    constexpr std::size_t kMost = 16;
    iovec vectors[kMost];
    std::size_t count = 0;
    for (std::string& piece : pieces_) {
      if (count == kMost) break;
      const std::size_t skip = count == 0 ? offset_ : 0;
      vectors[count++] = {piece.data() + skip, piece.size() - skip};
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      Drop(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Written::kBlocked;
    } else if (errno != EINTR) {
      return Written::kBroken;
    }
  }
  return Written::kAll;
}

void OutputBuffer::Drop(std::size_t bytes) {
  sent_ += bytes;
  offset_ += bytes;
  std::size_t whole = 0;
  while (whole < pieces_.size() && offset_ >= pieces_[whole].size()) offset_ -= pieces_[whole++].size();
  if (whole == pieces_.size() && whole == 1 && pieces_[0].capacity() <= kKept) {
    pieces_[0].clear();
    sealed_ = false;
    return;
  }
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(whole));
  if (pieces_.empty()) {
    sealed_ = false;
    pieces_.shrink_to_fit();
  }
}

}  // namespace mayfly::gateway
