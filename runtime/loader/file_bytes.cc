#include "runtime/loader/file_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace mayfly::runtime {

absl::StatusOr<FileBytes> FileBytes::Map(int fd, std::uint64_t size) {
  FileBytes file;
  if (size == 0) return file;
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapped == MAP_FAILED) return base::ErrnoStatus(errno, "mmap");
  file.mapped_ = mapped;
  file.size_ = size;
  return file;
}

absl::StatusOr<FileBytes> FileBytes::Copy(int fd, std::uint64_t size) {
  FileBytes file;
  file.copied_ = std::make_unique_for_overwrite<std::byte[]>(size);
  while (file.size_ < size) {
    const ssize_t got =
        ::pread(fd, file.copied_.get() + file.size_, size - file.size_, static_cast<off_t>(file.size_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::ErrnoStatus(errno, "read");
    if (got == 0) break;
    file.size_ += static_cast<std::size_t>(got);
  }
  return file;
}

FileBytes::~FileBytes() {
  if (mapped_ != nullptr) ::munmap(mapped_, size_);
}

}  // namespace mayfly::runtime
