#include "runtime/artifacts/module_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

namespace mayfly::runtime {
namespace {

namespace fs = std::filesystem;
constexpr int kLockPollMilliseconds = 25;
// A part that nobody wrote to for so long belongs to a process that died.
constexpr std::int64_t kStalePartSeconds = 3600;
constexpr std::size_t kDigestSize = 64;
// More of them than modules fit is no use.
constexpr std::size_t kMostImages = 1000;

}  // namespace

absl::StatusOr<ModuleCache> ModuleCache::Open(std::string folder, std::uint64_t most_bytes) {
  std::error_code error;
  // Locks are few and are never removed, so that two processes cannot hold one each.
  fs::create_directories(folder + "/locks", error);
  if (!error) fs::create_directory(folder + "/images", error);
  if (error)
    return absl::FailedPreconditionError(
        fmt::format("cannot make the folder {} for fetched modules: {}", folder, error.message()));
  ::chmod(folder.c_str(), 0700);
  return ModuleCache(std::move(folder), most_bytes);
}

base::FileDescriptor ModuleCache::Find(const std::string& sha256) const {
  base::FileDescriptor file(::open(PathOf(sha256).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file) ::futimens(file.get(), nullptr);
  return file;
}

std::string ModuleCache::ModuleOfImage(const std::string& digest) const {
  std::error_code error;
  const std::string target = fs::read_symlink(ImagePathOf(digest), error).string();
  const bool known = !error && target.size() == kDigestSize &&
                     target.find_first_not_of("0123456789abcdef") == std::string::npos;
  return known ? target : "";
}

void ModuleCache::KeepImage(const std::string& digest, const std::string& sha256) const {
  TrimImages();
  const std::string path = ImagePathOf(digest);
  ::unlink(path.c_str());
  // If it cannot be noted, the image is asked for again.
  if (::symlink(sha256.c_str(), path.c_str()) != 0 && errno != EEXIST) ::unlink(path.c_str());
}

void ModuleCache::TrimImages() const {
  std::size_t kept = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder_ + "/images", error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const std::string module = ModuleOfImage(it->path().filename().string());
    if (module.empty() || ++kept > kMostImages || ::access(PathOf(module).c_str(), F_OK) != 0)
      ::unlink(it->path().c_str());
  }
}

void ModuleCache::Drop(const std::string& sha256) const { ::unlink(PathOf(sha256).c_str()); }

absl::StatusOr<base::FileDescriptor> ModuleCache::Lock(const std::string& key,
                                                       std::chrono::steady_clock::time_point deadline,
                                                       const std::function<void()>& waits) const {
  const std::string path = fmt::format("{}/locks/{}", folder_, key.substr(0, 2));
  base::FileDescriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return base::ErrnoStatus(errno, "cannot open " + path);
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return base::ErrnoStatus(errno, "cannot lock " + path);
    if (std::chrono::steady_clock::now() >= deadline)
      return absl::DeadlineExceededError("another process of this node was still fetching it");
    waits();
    ::poll(nullptr, 0, kLockPollMilliseconds);
  }
  return lock;
}

absl::StatusOr<base::FileDescriptor> ModuleCache::Begin(const std::string& key) const {
  base::FileDescriptor file(
      ::open(PartOf(key).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0400));
  if (!file && errno == EACCES) {
    // Left by a process that died: it is of mode 0400 already.
    ::unlink(PartOf(key).c_str());
    file.Reset(::open(PartOf(key).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  }
  if (!file) return base::ErrnoStatus(errno, "cannot make a file in " + folder_);
  return file;
}

absl::Status ModuleCache::Keep(const std::string& key, const std::string& sha256,
                               const base::FileDescriptor& file) const {
  if (::fsync(file.get()) != 0) return base::ErrnoStatus(errno, "cannot write to " + folder_);
  if (::rename(PartOf(key).c_str(), PathOf(sha256).c_str()) != 0)
    return base::ErrnoStatus(errno, "cannot keep a module in " + folder_);
  const base::FileDescriptor folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ::fsync(folder.get());
  Trim(sha256 + ".so");
  return absl::OkStatus();
}

void ModuleCache::Abandon(const std::string& key) const { ::unlink(PartOf(key).c_str()); }

absl::StatusOr<base::FileDescriptor> ModuleCache::Scratch() const {
  // One that a killed process leaves behind is removed as a part is.
  // mkostemps() puts what is new in place of the six.
  std::string path = folder_ + "/XXXXXX.part";
  base::FileDescriptor file(::mkostemps(path.data(), sizeof(".part") - 1, O_CLOEXEC));
  if (!file) return base::ErrnoStatus(errno, "cannot make a file in " + folder_);
  ::unlink(path.c_str());
  return file;
}

void ModuleCache::Trim(const std::string& kept) const {
  struct Entry {
    std::int64_t used_ns;
    std::uint64_t bytes;
    std::string path;
  };
  std::vector<Entry> entries;
  std::uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    struct stat info{};
    if (::lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (name.ends_with(".part")) {
      if (::time(nullptr) - info.st_mtim.tv_sec > kStalePartSeconds) ::unlink(it->path().c_str());
      continue;
    }
    total += static_cast<std::uint64_t>(info.st_size);
    // The newest may not go before it was read by who fetched it, even if it alone is more than may be kept.
    if (name == kept) continue;
    entries.push_back({info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec,
                       static_cast<std::uint64_t>(info.st_size), it->path().string()});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used_ns < b.used_ns; });
  for (const Entry& entry : entries) {
    if (total <= most_bytes_) return;
    if (::unlink(entry.path.c_str()) == 0) total -= entry.bytes;
  }
}

}  // namespace mayfly::runtime
