#include "runtime/loader/module_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#define OPENSSL_SUPPRESS_DEPRECATED  // see Sha256Hex()
#include <openssl/sha.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::microseconds Since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
}

std::string Reason(int error) { return std::system_category().message(error); }

// Only what a ModuleStore writes: the folder may be shared with what is not ours.
bool IsLeftover(std::string_view name) { return name.ends_with(".so") || name.ends_with(".tmp"); }

void RemoveLeftovers(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (IsLeftover(entry.path().filename().string())) std::filesystem::remove(entry.path(), ignored);
  }
}

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

v1::Problem CannotStore(std::string_view name, const std::string& folder, int error) {
  return ModuleProblem(error == ENOSPC || error == EDQUOT ? "NoSpace" : "NotReadable", name,
                       fmt::format("cannot be copied to {}: {}", folder, Reason(error)));
}

}  // namespace

StoredModule::~StoredModule() {
  if (owned_) ::unlink(path.c_str());
}

absl::StatusOr<std::unique_ptr<ModuleStore>> ModuleStore::Open(std::string folder, std::string worker_program,
                                                               std::uint64_t largest_module) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno == ENOENT) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), error);
    ::mkdir(folder.c_str(), 0700);
  }
  base::FileDescriptor lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return base::ErrnoStatus(errno, fmt::format("cannot use the folder {} for modules", folder));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        fmt::format("the folder {} is in use by another runtime: give each its own --state-dir", folder));
  }
  struct statvfs filesystem;
  if (::fstatvfs(lock.get(), &filesystem) == 0 && (filesystem.f_flag & ST_NOEXEC) != 0) {
    return absl::FailedPreconditionError(
        fmt::format("the folder {} is on a file system mounted noexec, from which no module can be loaded: "
                    "choose another "
                    "--state-dir",
                    folder));
  }
  RemoveLeftovers(folder);
  return std::unique_ptr<ModuleStore>(
      new ModuleStore(std::move(folder), std::move(lock), std::move(worker_program), largest_module));
}

std::shared_ptr<const StoredModule> ModuleStore::Admit(const AdmitRequest& request, v1::Problem& problem,
                                                       AdmitTimes& times) {
  const Clock::time_point start = Clock::now();
  const std::string& source = request.source_path.empty() ? request.path : request.source_path;
  const std::string name = source.empty() ? "the module" : source;
  const std::string temporary = fmt::format("{}/{}.tmp", folder_, next_++);
  const base::FileDescriptor copy(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  if (!copy) {
    problem = CannotStore(name, folder_, errno);
    return nullptr;
  }
  absl::Cleanup remove = [&temporary] { ::unlink(temporary.c_str()); };
  const std::int64_t size = CopyTo(copy.get(), request, name, problem);
  if (size < 0) return nullptr;
  const auto bytes = FileBytes::Map(copy.get(), static_cast<std::uint64_t>(size));
  if (!bytes.ok()) {
    problem = ModuleProblem("NotReadable", name, bytes.status().ToString());
    return nullptr;
  }
  const std::string digest = Sha256Hex(bytes->bytes());
  times.fetch = Since(start);
  if (!request.sha256.empty() && absl::AsciiStrToLower(request.sha256) != digest) {
    problem = ModuleProblem(
        "DigestMismatch", name,
        fmt::format("has the SHA-256 {}, and {} was asked for: it has changed since it was described; "
                    "update spec.artifact.sha256 or restore the file",
                    digest, request.sha256));
    return nullptr;
  }

  const Clock::time_point checking = Clock::now();
  CheckRequest check{name, "", request.library_path};
  // What comes without a path has nothing beside it.
  if (!source.empty() && request.file < 0) {
    const std::size_t slash = source.rfind('/');
    check.origin = slash == std::string::npos ? "." : source.substr(0, slash);
  }
  CheckVerdict verdict = checker_.Check(bytes->bytes(), check);
  times.check = Since(checking);
  if (verdict.problem) {
    problem = *std::move(verdict.problem);
    return nullptr;
  }
  if (verdict.needs_origin) return std::make_shared<const StoredModule>(source, digest, false);

  std::erase_if(stored_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<const StoredModule>& stored = stored_[digest];
  if (auto existing = stored.lock()) return existing;
  // Each copy has a name of its own, so that one that is about to go cannot take a later one with it.
  const std::string path = fmt::format("{}/{}-{}.so", folder_, digest, next_);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    problem = CannotStore(name, folder_, errno);
    return nullptr;
  }
  std::move(remove).Cancel();
  auto stored_module = std::make_shared<const StoredModule>(path, digest, true);
  stored = stored_module;
  return stored_module;
}

std::int64_t ModuleStore::CopyTo(int to, const AdmitRequest& request, std::string_view name,
                                 v1::Problem& problem) const {
  const auto too_large = [&](std::uint64_t size) {
    problem = ModuleProblem("TooLarge", name,
                            fmt::format("has {} bytes, and at most {} are taken: strip it (strip -g), or "
                                        "put large data elsewhere",
                                        size, largest_module_));
    return -1;
  };
  if (request.path.empty() && request.file < 0) {
    if (request.bytes.size() > largest_module_) return too_large(request.bytes.size());
    if (WriteAll(to, request.bytes)) return static_cast<std::int64_t>(request.bytes.size());
    problem = CannotStore(name, folder_, errno);
    return -1;
  }
  // O_NONBLOCK: a FIFO or a device must not hold the runtime up.
  const base::FileDescriptor from(request.file < 0
                                      ? ::open(request.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
                                      : ::fcntl(request.file, F_DUPFD_CLOEXEC, 0));
  struct stat status;
  if (!from || ::fstat(from.get(), &status) != 0) {
    problem = ModuleProblem("NotReadable", name, fmt::format("cannot be opened: {}", Reason(errno)));
    return -1;
  }
  if (!S_ISREG(status.st_mode)) {
    problem =
        ModuleProblem("NotAFile", name,
                      S_ISDIR(status.st_mode) ? "is a folder: name the .so in it" : "is not a regular file");
    return -1;
  }
  if (static_cast<std::uint64_t>(status.st_size) > largest_module_) {
    return too_large(static_cast<std::uint64_t>(status.st_size));
  }
  std::int64_t size = 0;
  while (true) {
    const ssize_t copied = ::sendfile(to, from.get(), nullptr, 1u << 30);
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0) {
      problem = CannotStore(name, folder_, errno);
      return -1;
    }
    if (copied == 0) return size;
    size += copied;
    if (static_cast<std::uint64_t>(size) > largest_module_)
      return too_large(static_cast<std::uint64_t>(size));
  }
}

std::string Sha256Hex(std::span<const std::byte> bytes) {
  // EVP would first load OpenSSL's configuration and providers: 1 ms that every cold start would pay.
  SHA256_CTX context;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256_Init(&context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(digest.data(), &context);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace mayfly::runtime
