#include "operator/kube/file_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"

namespace mayfly::kube {

absl::StatusOr<std::string> ReadFileText(const std::string& file, std::size_t most) {
  // Without waiting, should it be a pipe that nobody writes to.
  const base::FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return base::ErrnoStatus(errno, file);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return base::ErrnoStatus(errno, file);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(file, ": not a regular file"));
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoStatus(errno, file);
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > most) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": larger than ", most, " bytes"));
    }
  }
}

}  // namespace mayfly::kube
