// A SourceWatcher waits for changes of a project's sources.
//
// It watches every folder of the project except those that builds write to. Not thread-safe.
#pragma once

#include <chrono>
#include <filesystem>
#include <set>
#include <stop_token>
#include <vector>

#include "base/file_descriptor.h"
#include "base/status.h"
#include "operator/local/folder_watcher.h"

namespace mayfly::cli {

class SourceWatcher {
 public:
  static absl::StatusOr<SourceWatcher> Create(std::vector<std::filesystem::path> folders);

  // Waits for a change and then until nothing has changed for `quiet`. Returns the source files that did, none if
  // `stop` was requested.
  std::set<std::filesystem::path> Wait(const std::stop_token& stop, std::chrono::milliseconds quiet);

 private:
  SourceWatcher(op::FolderWatcher watcher, base::FileDescriptor wake,
                std::vector<std::filesystem::path> folders)
      : watcher_(std::move(watcher)), wake_(std::move(wake)), folders_(std::move(folders)) {}
  absl::Status WatchFolders();

  op::FolderWatcher watcher_;
  base::FileDescriptor wake_;
  std::vector<std::filesystem::path> folders_;
};

}  // namespace mayfly::cli
