// A RunDir is the private folder of one running local instance: its sockets, snapshots and logs.
//
//   <base>/8080.lock   held with flock for as long as the instance lives
//   <base>/8080/       everything else, gone when the instance ends
//
// The base is $MAYFLY_RUN_DIR, $XDG_RUNTIME_DIR/mayfly or /tmp/mayfly-<uid>. One that is made here, only its owner may
// enter; one that is there must be its user's, closed to others' writing, and empty or a base already: its mode stays,
// and it stays when the last instance ends. An instance that was killed leaves its folder behind; the next one to start,
// under whatever name, removes it. What tells such a folder from any other is a line in its lock file: without that,
// nothing is ever removed. Processes need no such care: they die with their parent.
//
// Not thread-safe; Path() may be called from any thread.
#pragma once

#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "base/status.h"

namespace mayfly::op {

class RunDir {
 public:
  // The base folder that an unset option means.
  static std::string DefaultBase();

  // Makes `<base>/<instance>`, empty, and locks it. kAlreadyExists if a live process holds it;
  // kPermissionDenied if others may write to `base`; kFailedPrecondition if it, or the instance's place in it, holds what
  // Mayfly did not make.
  static absl::StatusOr<RunDir> Create(const std::string& base, const std::string& instance);

  // What the destructor does, for a process that ends at once: tries for a moment, since children that were killed just now
  // may still write below `path`.
  static void RemoveNow(const std::string& path);

  // The instances under `base` that live, by name, in order. An absent base has none.
  static std::vector<std::string> Running(const std::string& base);

  RunDir(RunDir&& other) noexcept;
  RunDir& operator=(RunDir&& other) noexcept;
  // Removes the folder and gives the lock back.
  ~RunDir();

  const std::string& path() const { return path_; }

 private:
  RunDir(std::string path, std::string lock_path, base::FileDescriptor lock)
      : path_(std::move(path)), lock_path_(std::move(lock_path)), lock_(std::move(lock)) {}
  void Remove();

  std::string path_;  // "" once moved from
  std::string lock_path_;
  base::FileDescriptor lock_;
};

}  // namespace mayfly::op
