#include "operator/local/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mayfly::op {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kLockSuffix = ".lock";
// What a lock file of ours says, and the line after it if the base is ours too. Nothing is removed without it.
constexpr absl::string_view kMark = "Mayfly made the folder beside this file, and removes both.\n";
constexpr absl::string_view kBaseMark = "Mayfly made the folder around it too.\n";

bool Exists(const std::string& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0;
}

// Makes `path` a folder that only this user can write to, or says why it is none; whether it was made just now.
absl::StatusOr<bool> EnsureOurs(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return true;
  if (errno != EEXIST) return base::ErrnoStatus(errno, absl::StrCat("cannot make the run folder ", path));
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
  if ((info.st_mode & 0022) != 0) {
    return absl::PermissionDeniedError(absl::StrCat("others may write to the run folder ", path,
                                                    ": `chmod 700` it, or name another with MAYFLY_RUN_DIR"));
  }
  return false;
}

// What a lock file says; "" if it is not there, is no file or says nothing.
std::string TextOf(int fd) {
  std::string text(kMark.size() + kBaseMark.size(), '\0');
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}
std::string TextOf(const std::string& lock_path) {
  const base::FileDescriptor fd(::open(lock_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  return fd ? TextOf(fd.get()) : std::string();
}

// Opens and locks the file at `path`, with O_CREAT in `flags` making it. kAlreadyExists if another process has the
// lock, kNotFound if there is no such file.
absl::StatusOr<base::FileDescriptor> Lock(const std::string& path, int flags) {
  // The holder removes the file before it unlocks it, so that a lock won on a removed file is worth nothing.
  constexpr int kAttempts = 16;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    base::FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600));
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

// What is under a base.
struct Contents {
  std::vector<std::string> instances;  // those that Mayfly made, by name, in order
  bool ours = false;                   // Mayfly made the base
  bool others = false;                 // there is something besides
};

Contents Look(const std::string& base) {
  Contents contents;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(base, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!absl::EndsWith(name, kLockSuffix)) {
      names.push_back(name);
      continue;
    }
    const std::string text = TextOf(it->path().string());
    if (absl::StartsWith(text, kMark)) {
      contents.instances.emplace_back(absl::StripSuffix(name, kLockSuffix));
      contents.ours = contents.ours || absl::EndsWith(text, kBaseMark);
    } else if (!text.empty()) {
      contents.others = true;  // an empty one was to become a lock when its maker was killed
    }
  }
  std::sort(contents.instances.begin(), contents.instances.end());
  for (const std::string& name : names) {
    if (!std::binary_search(contents.instances.begin(), contents.instances.end(), name))
      contents.others = true;
  }
  return contents;
}

void RemoveStale(const std::string& base, const std::vector<std::string>& instances) {
  for (const std::string& name : instances) {
    const std::string lock_path = absl::StrCat(base, "/", name, kLockSuffix);
    const absl::StatusOr<base::FileDescriptor> lock = Lock(lock_path, 0);
    if (!lock.ok() || !absl::StartsWith(TextOf(lock->get()), kMark)) continue;
    std::error_code ignored;
    fs::remove_all(absl::StrCat(base, "/", name), ignored);
    ::unlink(lock_path.c_str());
  }
}

absl::Status NotOurs(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(
      path, " is there and Mayfly did not make it: name an empty or new run folder with MAYFLY_RUN_DIR"));
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
  const std::string path = absl::StrCat(base, "/", instance);
  const std::string lock_path = absl::StrCat(path, kLockSuffix);
  // The last instance to end may take the base with it at any moment.
  constexpr int kAttempts = 16;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const absl::StatusOr<bool> made = EnsureOurs(base);
    if (absl::IsNotFound(made.status()) && Exists(fs::path(base).parent_path().string())) continue;
    if (!made.ok()) return made.status();
    const Contents contents = Look(base);
    if (contents.others && contents.instances.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the run folder ", base, " holds files that Mayfly did not make: name an empty or new one ",
          "with MAYFLY_RUN_DIR"));
    }
    RemoveStale(base, contents.instances);
    if (TextOf(lock_path).empty() && Exists(path)) return NotOurs(path);

    absl::StatusOr<base::FileDescriptor> lock = Lock(lock_path, O_CREAT);
    if (absl::IsNotFound(lock.status())) continue;
    if (absl::IsAlreadyExists(lock.status())) {
      return absl::AlreadyExistsError(
          absl::StrCat("another `mayfly up` already runs as ", instance, " in ", base));
    }
    if (!lock.ok()) return lock.status();
    if (const std::string text = TextOf(lock->get()); !text.empty() && !absl::StartsWith(text, kMark)) {
      return NotOurs(lock_path);
    }
    // From here on both are Mayfly's, whenever it is killed.
    const bool base_is_ours = *made || contents.ours;
    const std::string text = absl::StrCat(kMark, base_is_ours ? kBaseMark : "");
    if (::ftruncate(lock->get(), 0) != 0 ||
        ::pwrite(lock->get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      const int why = errno;
      ::unlink(lock_path.c_str());
      return base::ErrnoStatus(why, absl::StrCat("cannot write ", lock_path));
    }
    std::error_code error;
    fs::remove_all(path, error);
    if (::mkdir(path.c_str(), 0700) != 0) {
      const int why = errno;
      ::unlink(lock_path.c_str());
      return base::ErrnoStatus(why, absl::StrCat("cannot make ", path));
    }
    return RunDir(path, lock_path, *std::move(lock));
  }
  return absl::UnavailableError(absl::StrCat("the run folder ", base, " keeps being removed"));
}

std::vector<std::string> RunDir::Running(const std::string& base) {
  std::vector<std::string> running;
  for (const std::string& name : Look(base).instances) {
    const std::string lock_path = absl::StrCat(base, "/", name, kLockSuffix);
    const base::FileDescriptor fd(::open(lock_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) continue;
    if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) running.push_back(name);
  }
  return running;
}

void RunDir::RemoveNow(const std::string& path) {
  constexpr int kTries = 20;
  constexpr timespec kPause{0, 5'000'000};
  const std::string lock_path = absl::StrCat(path, kLockSuffix);
  const std::string text = TextOf(lock_path);
  if (!absl::StartsWith(text, kMark)) return;  // the destructor was faster
  std::error_code error;
  for (int i = 0; i < kTries; ++i) {
    fs::remove_all(path, error);
    if (!fs::exists(path, error)) break;
    ::nanosleep(&kPause, nullptr);
  }
  ::unlink(lock_path.c_str());
  if (absl::EndsWith(text, kBaseMark)) ::rmdir(fs::path(path).parent_path().c_str());
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
  const bool base_is_ours = absl::EndsWith(TextOf(lock_.get()), kBaseMark);
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  ::unlink(lock_path_.c_str());
  // A base that Mayfly made goes with its last instance; rmdir refuses while another is there.
  if (base_is_ours) ::rmdir(fs::path(path_).parent_path().c_str());
  path_.clear();
}

}  // namespace mayfly::op
