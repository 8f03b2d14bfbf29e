#include "runtime/pool/folder_use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"

namespace mayfly::runtime {
namespace {

constexpr std::size_t kDeepest = 64;
constexpr std::uint64_t kBlockBytes = 512;

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

// Opens the folder `name` of `parent`, if need be against its mode.
Folder OpenFolder(int parent, const char* name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  constexpr mode_t kOwn = 0700;
  int fd = openat(parent, name, kFlags);
  if (fd < 0 && errno == EACCES && fchmodat(parent, name, kOwn, 0) == 0) fd = openat(parent, name, kFlags);
  if (fd < 0) return nullptr;
  // Without these rights what is in it can be neither looked at nor removed.
  struct stat info;
  if (fstat(fd, &info) == 0 && (info.st_mode & kOwn) != kOwn) fchmod(fd, kOwn);
  DIR* folder = fdopendir(fd);
  if (folder == nullptr) close(fd);
  return Folder(folder);
}

const char* NextName(DIR* folder) {
  while (const dirent* entry = readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return entry->d_name;
  }
  return nullptr;
}

}  // namespace

bool FolderExceeds(const std::string& path, std::uint64_t bytes, std::size_t entries) {
  std::vector<Folder> open;
  open.push_back(OpenFolder(AT_FDCWD, path.c_str()));
  if (open.back() == nullptr) return false;
  std::uint64_t used = 0;
  std::size_t seen = 0;
  while (!open.empty()) {
    DIR* const folder = open.back().get();
    const char* name = NextName(folder);
    if (name == nullptr) {
      open.pop_back();
      continue;
    }
    struct stat info;
    if (++seen > entries) return true;
    if (fstatat(dirfd(folder), name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    used += static_cast<std::uint64_t>(info.st_blocks) * kBlockBytes;
    if (used > bytes) return true;
    if (!S_ISDIR(info.st_mode)) continue;
    if (open.size() > kDeepest) return true;
    if (Folder inner = OpenFolder(dirfd(folder), name)) open.push_back(std::move(inner));
  }
  return false;
}

// Folders deeper than kDeepest are moved to the top and emptied from there: so neither a path nor the number of open
// descriptors grows with the depth.
bool EmptyFolder(const std::string& path, std::chrono::steady_clock::time_point deadline) {
  struct Level {
    Folder folder;
    std::string name;  // in the level above
  };
  std::uint64_t moved = 0;
  for (bool progress = true; progress;) {
    progress = false;
    std::vector<Level> open;
    open.push_back({OpenFolder(AT_FDCWD, path.c_str()), {}});
    if (open.back().folder == nullptr) return true;
    const int top = dirfd(open.back().folder.get());
    bool empty = true;
    while (!open.empty()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      const int folder = dirfd(open.back().folder.get());
      const char* name = NextName(open.back().folder.get());
      if (name == nullptr) {
        const std::string emptied = std::move(open.back().name);
        open.pop_back();
        if (open.empty()) break;
        if (unlinkat(dirfd(open.back().folder.get()), emptied.c_str(), AT_REMOVEDIR) == 0) progress = true;
        continue;
      }
      empty = false;
      if (unlinkat(folder, name, 0) == 0) {
        progress = true;
      } else if (open.size() <= kDeepest) {
        if (Folder inner = OpenFolder(folder, name)) open.push_back({std::move(inner), name});
      } else if (renameat(folder, name, top, (".mayfly-removed-" + std::to_string(moved++)).c_str()) == 0) {
        progress = true;
      }
    }
    if (empty) return true;
  }
  return false;
}

}  // namespace mayfly::runtime
