#include "gateway/metering/usage_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/log.h"

namespace mayfly::gateway {
namespace {

namespace fs = std::filesystem;

constexpr char kBegin[] = "usage-";
constexpr char kEnd[] = ".jsonl";

// By name, which is by time.
std::vector<fs::path> FilesIn(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator next(folder, error), end; !error && next != end; next.increment(error)) {
    const std::string name = next->path().filename().string();
    if (name.starts_with(kBegin) && name.ends_with(kEnd)) files.push_back(next->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::uint64_t SizeOf(const fs::path& file) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(file, error);
  return error ? 0 : size;
}

}  // namespace

UsageFolder::UsageFolder(UsageFolderOptions options, const base::Clock& clock, base::Metrics& metrics)
    : options_(std::move(options)), clock_(clock), metrics_(metrics) {}

absl::StatusOr<std::unique_ptr<UsageFolder>> UsageFolder::Open(UsageFolderOptions options,
                                                               std::string_view option,
                                                               const base::Clock& clock,
                                                               base::Metrics& metrics) {
  std::error_code error;
  const bool made = fs::create_directories(options.folder, error);
  if (!error && made) fs::permissions(options.folder, fs::perms::owner_all, error);
  if (error || ::access(options.folder.c_str(), W_OK | X_OK) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("usage records cannot be kept in ", options.folder,
                                                      " (", error ? error.message() : "it cannot be written",
                                                      "): choose another folder with ", std::string(option)));
  }
  return std::unique_ptr<UsageFolder>(new UsageFolder(std::move(options), clock, metrics));
}

absl::Status UsageFolder::Append(const std::string& lines) {
  if (file_ && size_ > 0 && size_ + lines.size() > options_.most_bytes_of_file) file_.Reset();
  if (!file_) {
    if (absl::Status status = Begin(); !status.ok()) return status;
  }
  for (std::size_t done = 0; done < lines.size();) {
    const ssize_t wrote = ::write(file_.get(), lines.data() + done, lines.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return Spoil(wrote < 0 ? errno : ENOSPC, "writing ");
    done += static_cast<std::size_t>(wrote);
  }
  // What the kernel could not bring to the disk once, it forgets: the next attempt is in a new file.
  if (::fdatasync(file_.get()) != 0) return Spoil(errno, "syncing ");
  size_ += lines.size();
  return absl::OkStatus();
}

absl::Status UsageFolder::Spoil(int error, const std::string& what) {
  static_cast<void>(::ftruncate(file_.get(), static_cast<off_t>(size_)));
  file_.Reset();
  return base::ErrnoStatus(error, what + path_);
}

absl::Status UsageFolder::Begin() {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.WallNow().time_since_epoch());
  std::random_device random;
  path_ = absl::StrCat(
      options_.folder, "/", kBegin,
      absl::FormatTime("%Y%m%dT%H%M%E3SZ", absl::FromUnixMillis(ms.count()), absl::UTCTimeZone()), "-",
      absl::StrFormat("%08x", random()), kEnd);
  constexpr mode_t kOwnerOnly = 0600;
  file_.Reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, kOwnerOnly));
  if (!file_) return base::ErrnoStatus(errno, "making " + path_);
  size_ = 0;
  Prune();
  // The file's name is as durable as what is in it.
  const base::FileDescriptor folder(::open(options_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return Spoil(errno, "syncing the folder of ");
  return absl::OkStatus();
}

void UsageFolder::Prune() {
  std::vector<fs::path> files = FilesIn(options_.folder);
  // Room for the file that has just begun.
  std::uint64_t bytes = options_.most_bytes_of_file;
  for (const fs::path& file : files) bytes += SizeOf(file);
  std::size_t count = files.size();
  for (const fs::path& oldest : files) {
    if ((bytes <= options_.most_bytes && count <= options_.most_files) || oldest == path_) return;
    const std::uint64_t size = SizeOf(oldest);
    std::error_code error;
    if (!fs::remove(oldest, error)) continue;
    bytes -= std::min(bytes, size);
    --count;
    metrics_
        .Counter("mayfly_usage_record_files_removed_total",
                 "Files of usage records that were removed as there were too many.")
        .Increment();
    base::log::Warn("the oldest usage records are removed to make room",
                    {{"file", oldest.string()}, {"bytes", size}});
  }
}

absl::Status ReadUsage(const std::string& folder, const std::function<void(const UsageRecord&)>& each) {
  std::error_code error;
  if (!fs::exists(folder, error)) return absl::NotFoundError(absl::StrCat("there is no ", folder));
  const std::vector<fs::path> files =
      fs::is_directory(folder, error) ? FilesIn(folder) : std::vector<fs::path>{folder};
  for (const fs::path& path : files) {
    std::ifstream file(path);
    if (!file && errno != ENOENT) return base::ErrnoStatus(errno, "reading " + path.string());
    for (std::string line; std::getline(file, line);) {
      if (file.eof()) break;  // no end: it was being written when its writer was killed, or is just now
      if (const absl::StatusOr<UsageRecord> record = ParseUsageRecord(line); record.ok()) each(*record);
    }
  }
  return absl::OkStatus();
}

}  // namespace mayfly::gateway
