#include "gateway/store/sqlite/set_aside.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file_descriptor.h"

namespace mayfly::gateway {
namespace {

// A name for what is damaged.
std::string NameAside(const std::string& path) {
  const std::string stamp = absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone());
  std::string target = absl::StrCat(path, ".damaged-", stamp);
  std::error_code error;
  for (int n = 2; std::filesystem::exists(target, error) || std::filesystem::exists(target + "-wal", error);
       ++n)
    target = absl::StrCat(path, ".damaged-", stamp, "-", n);
  return target;
}

}  // namespace

absl::StatusOr<std::string> SetAside(const std::string& path) {
  const std::string target = NameAside(path);
  std::error_code error;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    if (!std::filesystem::exists(path + suffix, error)) continue;
    std::filesystem::rename(path + suffix, target + suffix, error);
    if (error) {
      return absl::DataLossError(absl::StrCat("the event store ", path,
                                              " is damaged and cannot be moved away (", error.message(),
                                              "): move it away to begin an empty one"));
    }
  }
  return target;
}

absl::StatusOr<std::string> CopyAside(const std::string& path, const std::string& why) {
  const std::string target = NameAside(path);
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    if (!std::filesystem::exists(path + suffix, error)) continue;
    bool done = std::filesystem::copy_file(path + suffix, target + suffix, error);
    if (done) {
      const base::FileDescriptor copy(::open((target + suffix).c_str(), O_RDONLY | O_CLOEXEC));
      done = copy && ::fsync(copy.get()) == 0;
      if (!done) error = std::error_code(errno, std::generic_category());
    }
    if (done) continue;
    for (const char* made : {"", "-wal"}) ::unlink((target + made).c_str());
    return absl::FailedPreconditionError(absl::StrCat(
        "the event store ", path, " is damaged (", why,
        "), and is not touched before there is a copy, which cannot be made (", error.message(),
        "): make room for it, or move ", path, " and ", path, "-wal away to begin an empty one"));
  }
  return target;
}

}  // namespace mayfly::gateway
