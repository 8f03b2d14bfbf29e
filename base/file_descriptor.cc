#include "base/file_descriptor.h"

#include <unistd.h>

namespace mayfly::base {

void FileDescriptor::Reset(int fd) {
  // Not retried on EINTR: on Linux the descriptor is gone either way.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

}  // namespace mayfly::base
