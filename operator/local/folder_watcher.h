// A FolderWatcher hears of changes in single folders, by inotify.
//
// It says which paths to look at again, never what happened to them: what it says is merged, may be stale,
// and when the kernel lost some of it `lost` asks for a look at everything. Not recursive: whoever wants
// sub-folders watches each.
//
// Not thread-safe: one thread uses it, and polls fd().
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/file_descriptor.h"
#include "base/status.h"

namespace mayfly::op {

class FolderWatcher {
 public:
  struct Changes {
    // Files and folders that were made, written, renamed or removed, by path.
    std::set<std::string> paths;
    // The folders that something happened in.
    std::set<std::string> folders;
    // Folders came or went, or notices were lost: look at everything.
    bool lost = false;
    bool empty() const { return paths.empty() && folders.empty() && !lost; }
  };

  static absl::StatusOr<FolderWatcher> Create();

  // Readable when Read() has something.
  int fd() const { return fd_.get(); }
  // Idempotent. kNotFound if `folder` is not there or no folder; kResourceExhausted if the system allows no
  // more watches.
  absl::Status Watch(const std::string& folder);
  // Watches exactly `folders`, of those that exist. The first error is returned, after all were tried.
  absl::Status WatchOnly(const std::set<std::string>& folders);
  // All that has come, without waiting.
  Changes Read();

 private:
  explicit FolderWatcher(base::FileDescriptor fd) : fd_(std::move(fd)) {}

  base::FileDescriptor fd_;
  std::map<std::string, int> watches_;
  // A folder that is reachable by two paths has one watch.
  std::map<int, std::set<std::string>> folders_;
};

}  // namespace mayfly::op
