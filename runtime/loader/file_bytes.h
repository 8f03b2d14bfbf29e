// FileBytes holds the content of a file, either mapped (read-only, never executable) or copied to the heap.
//
// A mapping costs nothing until it is read, but a reader of one dies by SIGBUS if somebody truncates the
// file. So files that are only ever replaced by renaming (our own, those of the system's folders) are mapped,
// and all others copied.
//
// Thread-safe once made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/status.h"

namespace mayfly::runtime {

class FileBytes {
 public:
  static absl::StatusOr<FileBytes> Map(int fd, std::uint64_t size);
  // Reads up to `size` bytes: fewer if the file has become shorter.
  static absl::StatusOr<FileBytes> Copy(int fd, std::uint64_t size);

  FileBytes(FileBytes&& other) noexcept
      : mapped_(std::exchange(other.mapped_, nullptr)),
        copied_(std::move(other.copied_)),
        size_(std::exchange(other.size_, 0)) {}
  FileBytes& operator=(FileBytes&& other) = delete;
  ~FileBytes();

  std::span<const std::byte> bytes() const {
    return {copied_ ? copied_.get() : static_cast<const std::byte*>(mapped_), size_};
  }

 private:
  FileBytes() = default;
  void* mapped_ = nullptr;
  std::unique_ptr<std::byte[]> copied_;
  std::size_t size_ = 0;
};

}  // namespace mayfly::runtime
