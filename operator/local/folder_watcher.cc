#include "operator/local/folder_watcher.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"

namespace mayfly::op {
namespace {

constexpr std::uint32_t kMask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
                                IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;

}  // namespace

absl::StatusOr<FolderWatcher> FolderWatcher::Create() {
  base::FileDescriptor fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) {
    return base::ErrnoStatus(errno, "cannot watch folders (see /proc/sys/fs/inotify/max_user_instances)");
  }
  return FolderWatcher(std::move(fd));
}

absl::Status FolderWatcher::Watch(const std::string& folder) {
  if (watches_.contains(folder)) return absl::OkStatus();
  const int watch = ::inotify_add_watch(fd_.get(), folder.c_str(), kMask);
  if (watch < 0) {
    if (errno == ENOSPC) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "cannot watch ", folder, ": the system allows no more watches; raise fs.inotify.max_user_watches"));
    }
    if (errno == ENOTDIR) return absl::NotFoundError(absl::StrCat(folder, " is no folder"));
    return base::ErrnoStatus(errno, absl::StrCat("cannot watch ", folder));
  }
  watches_[folder] = watch;
  folders_[watch].insert(folder);
  return absl::OkStatus();
}

absl::Status FolderWatcher::WatchOnly(const std::set<std::string>& folders) {
  for (auto it = watches_.begin(); it != watches_.end();) {
    if (folders.contains(it->first)) {
      ++it;
      continue;
    }
    const auto reverse = folders_.find(it->second);
    if (reverse != folders_.end()) {
      reverse->second.erase(it->first);
      if (reverse->second.empty()) {
        ::inotify_rm_watch(fd_.get(), it->second);
        folders_.erase(reverse);
      }
    }
    it = watches_.erase(it);
  }
  absl::Status first;
  for (const std::string& folder : folders) {
    absl::Status status = Watch(folder);
    if (!absl::IsNotFound(status)) first.Update(status);
  }
  return first;
}

FolderWatcher::Changes FolderWatcher::Read() {
  Changes changes;
  alignas(inotify_event) char buffer[64u << 10];
  // Bounded, so that a storm of notices cannot keep its reader from acting on them.
  constexpr int kReads = 64;
  for (int i = 0; i < kReads; ++i) {
    const ssize_t size = ::read(fd_.get(), buffer, sizeof buffer);
    if (size <= 0) break;
    for (const char* at = buffer; at < buffer + size;) {
      const auto* const event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        changes.lost = true;
        continue;
      }
      const auto it = folders_.find(event->wd);
      if (it == folders_.end()) continue;
      if ((event->mask & (IN_ISDIR | IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) {
        changes.lost = true;
      }
      for (const std::string& folder : it->second) {
        changes.folders.insert(folder);
        if (event->len > 0) changes.paths.insert(absl::StrCat(folder, "/", event->name));
      }
      // A folder that was moved is still watched, under a name that it has no more.
      if ((event->mask & IN_MOVE_SELF) != 0) ::inotify_rm_watch(fd_.get(), event->wd);
      if ((event->mask & (IN_IGNORED | IN_MOVE_SELF)) != 0) {
        for (const std::string& folder : it->second) watches_.erase(folder);
        folders_.erase(it);
      }
    }
  }
  return changes;
}

}  // namespace mayfly::op
