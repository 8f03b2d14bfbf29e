// Who goes first when the machine has no memory left.
#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace mayfly::worker {

// If the kernel must kill something for want of memory, then this process first.
inline void OfferToOomKiller() {
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t written = write(fd, "1000", 4);
  close(fd);
}

}  // namespace mayfly::worker
