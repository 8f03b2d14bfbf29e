#include "cli/source_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "cli/project.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

void AddFolders(const fs::path& folder, int depth, std::set<std::string>& folders) {
  constexpr int kDeepest = 16;
  constexpr std::size_t kMost = 20'000;
  if (depth > kDeepest || folders.size() >= kMost) return;
  folders.insert(folder.string());
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error) && !it->is_symlink(error) &&
        !IsOutputFolder(it->path().filename().string())) {
      AddFolders(it->path(), depth + 1, folders);
    }
  }
}

}  // namespace

absl::StatusOr<SourceWatcher> SourceWatcher::Create(std::vector<fs::path> folders) {
  absl::StatusOr<op::FolderWatcher> watcher = op::FolderWatcher::Create();
  if (!watcher.ok()) return watcher.status();
  base::FileDescriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return base::ErrnoStatus(errno, "cannot make an eventfd");
  SourceWatcher made(*std::move(watcher), std::move(wake), std::move(folders));
  if (absl::Status status = made.WatchFolders(); !status.ok()) return status;
  return made;
}

absl::Status SourceWatcher::WatchFolders() {
  std::set<std::string> all;
  for (const fs::path& folder : folders_) AddFolders(folder, 0, all);
  return watcher_.WatchOnly(all);
}

std::set<fs::path> SourceWatcher::Wait(const std::stop_token& stop, std::chrono::milliseconds quiet) {
  const std::stop_callback on_stop(stop, [this] {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
  });
  std::set<fs::path> changed;
  while (!stop.stop_requested()) {
    pollfd polled[2] = {{watcher_.fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    const int count = ::poll(polled, 2, changed.empty() ? -1 : static_cast<int>(quiet.count()));
    if (stop.stop_requested()) break;
    if (count == 0) return changed;
    const op::FolderWatcher::Changes changes = watcher_.Read();
    if (changes.lost) (void)WatchFolders();
    for (const std::string& path : changes.paths) {
      std::error_code error;
      // A new folder may hold sources that came before it was watched.
      const bool folder = changes.lost && fs::is_directory(path, error) &&
                          !IsOutputFolder(fs::path(path).filename().string());
      if (IsSourceFile(path) || folder) changed.insert(path);
    }
  }
  return {};
}

}  // namespace mayfly::cli
