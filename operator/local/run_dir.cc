#include "operator/local/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mayfly::op {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kLockSuffix = ".lock";

// Makes `path` a folder that only this user can enter, or says why it cannot be one.
absl::Status EnsurePrivate(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot make the run folder ", path));
  }
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot look at the run folder ", path));
  }
  if (!S_ISDIR(info.st_mode)) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the run folder ", path, " is no folder: remove it, or name another with MAYFLY_RUN_DIR"));
  }
  if (info.st_uid != ::geteuid()) {
    return absl::PermissionDeniedError(absl::StrCat("the run folder ", path, " belongs to uid ", info.st_uid,
                                                    ", not to you: name another with MAYFLY_RUN_DIR"));
  }
  if ((info.st_mode & 0077) != 0 && ::chmod(path.c_str(), 0700) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot make the run folder ", path, " private"));
  }
  return absl::OkStatus();
}

// Opens and locks the file at `path`. kAlreadyExists if another process has the lock.
absl::StatusOr<base::FileDescriptor> Lock(const std::string& path) {
  // The holder removes the file before it unlocks it, so that a lock won on a removed file is worth nothing.
  constexpr int kAttempts = 16;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    base::FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return base::ErrnoStatus(errno, absl::StrCat("cannot open ", path));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return absl::AlreadyExistsError(absl::StrCat(path, " is locked"));
      return base::ErrnoStatus(errno, absl::StrCat("cannot lock ", path));
    }
    struct stat held{};
    struct stat named{};
    if (::fstat(fd.get(), &held) == 0 && ::lstat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
        held.st_dev == named.st_dev) {
      return fd;
    }
  }
  return absl::UnavailableError(absl::StrCat("cannot lock ", path, ": it keeps being replaced"));
}

std::string InstanceOf(const fs::path& entry) {
  return std::string(absl::StripSuffix(entry.filename().string(), kLockSuffix));
}

// Every instance that has a folder or a lock file under `base`.
std::vector<std::string> Instances(const std::string& base) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(base, error), end; !error && it != end; it.increment(error)) {
    names.push_back(InstanceOf(it->path()));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void RemoveStale(const std::string& base) {
  for (const std::string& name : Instances(base)) {
    const std::string lock_path = absl::StrCat(base, "/", name, kLockSuffix);
    const absl::StatusOr<base::FileDescriptor> lock = Lock(lock_path);
    if (!lock.ok()) continue;
    std::error_code ignored;
    fs::remove_all(absl::StrCat(base, "/", name), ignored);
    ::unlink(lock_path.c_str());
  }
}

}  // namespace

std::string RunDir::DefaultBase() {
  const char* const own = std::getenv("MAYFLY_RUN_DIR");
  if (own != nullptr && *own != '\0') return own;
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  struct stat info{};
  if (runtime != nullptr && *runtime == '/' && ::stat(runtime, &info) == 0 && S_ISDIR(info.st_mode) &&
      info.st_uid == ::geteuid()) {
    return absl::StrCat(runtime, "/mayfly");
  }
  return absl::StrCat("/tmp/mayfly-", ::geteuid());
}

absl::StatusOr<RunDir> RunDir::Create(const std::string& base, const std::string& instance) {
  if (absl::Status status = EnsurePrivate(base); !status.ok()) return status;
  RemoveStale(base);
  std::string path = absl::StrCat(base, "/", instance);
  std::string lock_path = absl::StrCat(path, kLockSuffix);
  absl::StatusOr<base::FileDescriptor> lock = Lock(lock_path);
  if (absl::IsAlreadyExists(lock.status())) {
    return absl::AlreadyExistsError(
        absl::StrCat("another `mayfly up` already runs as ", instance, " in ", base));
  }
  if (!lock.ok()) return lock.status();
  std::error_code error;
  fs::remove_all(path, error);
  if (::mkdir(path.c_str(), 0700) != 0) {
    const int why = errno;
    ::unlink(lock_path.c_str());
    return base::ErrnoStatus(why, absl::StrCat("cannot make ", path));
  }
  return RunDir(std::move(path), std::move(lock_path), *std::move(lock));
}

std::vector<std::string> RunDir::Running(const std::string& base) {
  std::vector<std::string> running;
  for (const std::string& name : Instances(base)) {
    const std::string lock_path = absl::StrCat(base, "/", name, kLockSuffix);
    const base::FileDescriptor fd(::open(lock_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) continue;
    if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) running.push_back(name);
  }
  return running;
}

RunDir::RunDir(RunDir&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      lock_path_(std::exchange(other.lock_path_, {})),
      lock_(std::move(other.lock_)) {}

RunDir& RunDir::operator=(RunDir&& other) noexcept {
  if (this != &other) {
    Remove();
    path_ = std::exchange(other.path_, {});
    lock_path_ = std::exchange(other.lock_path_, {});
    lock_ = std::move(other.lock_);
  }
  return *this;
}

RunDir::~RunDir() { Remove(); }

void RunDir::Remove() {
  if (path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  ::unlink(lock_path_.c_str());
  // The base goes with its last instance; rmdir refuses while another is there.
  ::rmdir(fs::path(path_).parent_path().c_str());
  path_.clear();
}

}  // namespace mayfly::op
