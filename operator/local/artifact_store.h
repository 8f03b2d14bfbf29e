// An ArtifactStore keeps private, content-addressed snapshots of modules: <dir>/<sha256>.so.
//
// A linker may write over a module in place while replicas run it; a snapshot never changes. It is a reflink
// where the file system can, else a copy. A file that somebody still writes is not taken: Take() says so, and
// the caller asks again. What a file's content was is remembered by (device, inode, size, mtime, ctime), so
// that asking again about an unchanged file costs one stat.
//
// Snapshots that nothing needs any more go with Collect(). Thread-safe.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "base/status.h"

namespace mayfly::op {

// What tells one state of a file from another without reading it.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;

  static FileIdentity Of(const struct stat& info);
  auto operator<=>(const FileIdentity&) const = default;
};

// Whether some process has the open file `fd` open for writing. False where the system cannot tell.
bool HasWriter(int fd);

struct Snapshot {
  std::string sha256;
  std::string path;
};

class ArtifactStore {
 public:
  static constexpr std::uint64_t kLargest = 1u << 30;

  // `dir` exists and is the store's own.
  explicit ArtifactStore(std::string dir) : dir_(std::move(dir)) {}

  // A snapshot of the file at `path`. kUnavailable while somebody writes it; kNotFound if it is not there.
  absl::StatusOr<Snapshot> Take(const std::string& path);

  // Removes every snapshot whose digest is not in `needed` and was not for `linger`.
  void Collect(const std::set<std::string>& needed, std::chrono::steady_clock::time_point now,
               std::chrono::milliseconds linger);

 private:
  struct Kept {
    // When it was last needed.
    std::chrono::steady_clock::time_point needed;
  };

  absl::StatusOr<std::string> CopyAndDigest(int source, const std::string& source_path,
                                            const std::string& to);

  const std::string dir_;
  std::mutex mutex_;
  std::map<std::string, std::pair<FileIdentity, std::string>> known_;  // path → digest; guarded by mutex_
  std::map<std::string, Kept> kept_;                                   // by digest; guarded by mutex_
  std::uint64_t next_ = 0;                                             // guarded by mutex_
};

}  // namespace mayfly::op
