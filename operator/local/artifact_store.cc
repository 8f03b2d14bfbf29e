#include "operator/local/artifact_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"

namespace mayfly::op {
namespace {

std::int64_t Nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

absl::Status WriteAll(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return base::ErrnoStatus(errno, "cannot write");
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return absl::OkStatus();
}

}  // namespace

FileIdentity FileIdentity::Of(const struct stat& info) {
  return FileIdentity{info.st_dev, info.st_ino, info.st_size, Nanoseconds(info.st_mtim),
                      Nanoseconds(info.st_ctim)};
}

bool HasWriter(int fd) {
  // A read lease is granted only on a file that nobody has open for writing. If a writer comes in the instant
  // that it is held, the kernel tells by a signal; SIGURG is one that is ignored by default.
  ::fcntl(fd, F_SETSIG, SIGURG);
  if (::fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
    ::fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN;
}

absl::StatusOr<Snapshot> ArtifactStore::Take(const std::string& path) {
  const std::lock_guard lock(mutex_);
  // O_NONBLOCK: a FIFO in the module's place must not hang us.
  const base::FileDescriptor source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!source) {
    known_.erase(path);
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat("there is no file ", path));
    return base::ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  }
  struct stat before{};
  if (::fstat(source.get(), &before) != 0)
    return base::ErrnoStatus(errno, absl::StrCat("cannot look at ", path));
  if (!S_ISREG(before.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is no regular file"));
  }
  if (static_cast<std::uint64_t>(before.st_size) > kLargest) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " has ", before.st_size, " bytes; a module may have at most ", kLargest));
  }
  const FileIdentity identity = FileIdentity::Of(before);
  const auto known = known_.find(path);
  if (known != known_.end() && known->second.first == identity && kept_.contains(known->second.second)) {
    return Snapshot{known->second.second, absl::StrCat(dir_, "/", known->second.second, ".so")};
  }
  if (HasWriter(source.get())) return absl::UnavailableError(absl::StrCat(path, " is being written"));

  const std::string temporary = absl::StrCat(dir_, "/.", ++next_, ".tmp");
  absl::StatusOr<std::string> digest = CopyAndDigest(source.get(), path, temporary);
  struct stat after{};
  if (digest.ok() && (::fstat(source.get(), &after) != 0 || FileIdentity::Of(after) != identity)) {
    digest = absl::UnavailableError(absl::StrCat(path, " changed while it was read"));
  }
  if (!digest.ok()) {
    ::unlink(temporary.c_str());
    return digest.status();
  }
  Snapshot snapshot{*digest, absl::StrCat(dir_, "/", *digest, ".so")};
  if (kept_.contains(*digest)) {
    ::unlink(temporary.c_str());
  } else if (::rename(temporary.c_str(), snapshot.path.c_str()) != 0) {
    const int why = errno;
    ::unlink(temporary.c_str());
    return base::ErrnoStatus(why, absl::StrCat("cannot keep a snapshot of ", path));
  }
  kept_[*digest].needed = std::chrono::steady_clock::now();
  known_[path] = {identity, *digest};
  return snapshot;
}

absl::StatusOr<std::string> ArtifactStore::CopyAndDigest(int source, const std::string& source_path,
                                                         const std::string& to) {
  const base::FileDescriptor target(::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0500));
  if (!target) return base::ErrnoStatus(errno, absl::StrCat("cannot make ", to));
  const bool cloned = ::ioctl(target.get(), FICLONE, source) == 0;

  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) {
    return absl::InternalError("OpenSSL has no SHA-256");
  }
  constexpr std::size_t kChunk = 256u << 10;
  std::vector<char> buffer(kChunk);
  std::uint64_t total = 0;
  for (off_t offset = 0;;) {
    const ssize_t size = ::pread(cloned ? target.get() : source, buffer.data(), buffer.size(), offset);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::ErrnoStatus(errno, absl::StrCat("cannot read ", source_path));
    if (size == 0) break;
    offset += size;
    total += static_cast<std::uint64_t>(size);
    if (total > kLargest) return absl::UnavailableError(absl::StrCat(source_path, " grows while it is read"));
    EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(size));
    if (cloned) continue;
    if (absl::Status status = WriteAll(target.get(), buffer.data(), static_cast<std::size_t>(size));
        !status.ok()) {
      return base::WithContext(status, absl::StrCat("cannot copy ", source_path));
    }
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_size = 0;
  EVP_DigestFinal_ex(context.get(), digest, &digest_size);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), digest_size));
}

void ArtifactStore::Collect(const std::set<std::string>& needed, std::chrono::steady_clock::time_point now,
                            std::chrono::milliseconds linger) {
  const std::lock_guard lock(mutex_);
  for (auto it = kept_.begin(); it != kept_.end();) {
    if (needed.contains(it->first)) {
      it->second.needed = now;
    } else if (it->second.needed + linger <= now) {
      ::unlink(absl::StrCat(dir_, "/", it->first, ".so").c_str());
      it = kept_.erase(it);
      continue;
    }
    ++it;
  }
  std::erase_if(known_, [this](const auto& entry) { return !kept_.contains(entry.second.second); });
}

}  // namespace mayfly::op
