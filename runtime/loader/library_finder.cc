#include "runtime/loader/library_finder.h"

#include <fcntl.h>

#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_split.h"
#include "base/file_descriptor.h"

namespace mayfly::runtime {
namespace {

constexpr std::uint64_t kLargestLibrary = 1ull << 30;
constexpr std::uint64_t kLargestCache = 64u << 20;
constexpr char kCachePath[] = "/etc/ld.so.cache";

#if defined(__x86_64__)
constexpr std::array<std::string_view, 6> kDefaultFolders = {
    "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"};
#elif defined(__aarch64__)
constexpr std::array<std::string_view, 6> kDefaultFolders = {
    "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"};
#else
#error "Mayfly runs on x86-64 and aarch64"
#endif

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// `folder` with $ORIGIN replaced; "" if it cannot be, or if it has another variable.
std::string Expand(std::string_view folder, const std::string& origin, bool& used_origin) {
  std::string expanded;
  while (!folder.empty()) {
    const std::size_t dollar = folder.find('$');
    expanded += folder.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    folder.remove_prefix(dollar);
    const std::string_view token = folder.starts_with("${ORIGIN}") ? "${ORIGIN}" : "$ORIGIN";
    if (!folder.starts_with(token) || origin.empty()) return "";
    used_origin = true;
    expanded += origin;
    folder.remove_prefix(token.size());
  }
  return expanded;
}

template <typename T>
T Number(std::string_view bytes, std::size_t offset) {
  T value{};
  if (offset <= bytes.size() && bytes.size() - offset >= sizeof(T))
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

}  // namespace

std::shared_ptr<const Library> LibraryFinder::Open(const std::string& path, bool of_system) {
  const base::FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status;
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return nullptr;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > kLargestLibrary) return nullptr;
  const auto kept = kept_.find(path);
  if (kept != kept_.end()) {
    if (SameFile(kept->second.status, status)) return kept->second.library;
    kept_.erase(kept);
  }
  auto bytes = of_system ? FileBytes::Map(fd.get(), size) : FileBytes::Copy(fd.get(), size);
  if (!bytes.ok()) return nullptr;
  ElfFault fault;
  auto image = ElfImage::Parse(bytes->bytes(), fault);
  if (!image) return nullptr;
  auto library = std::make_shared<const Library>(path, *std::move(bytes), *std::move(image), of_system);
  if (of_system) kept_.emplace(path, Kept{status, library});
  return library;
}

std::shared_ptr<const Library> LibraryFinder::Find(std::string_view name, const SearchPaths& paths,
                                                   bool& of_origin) {
  if (name.find('/') != std::string_view::npos) {
    return name.find('$') == std::string_view::npos ? Open(std::string(name), false) : nullptr;
  }
  for (const SearchPaths::Folders& folders : paths.before) {
    if (auto found = FindIn(folders, name, of_origin)) return found;
  }
  if (auto found = FindIn({paths.library_path, ""}, name, of_origin)) return found;
  if (auto found = FindIn(paths.after, name, of_origin)) return found;
  ReadCache();
  for (auto [entry, end] = cached_paths_.equal_range(name); entry != end; ++entry) {
    if (auto found = Open(entry->second, true)) return found;
  }
  for (const std::string_view folder : kDefaultFolders) {
    std::string path(folder);
    path.append("/").append(name);
    if (auto found = Open(path, true)) return found;
  }
  return nullptr;
}

std::shared_ptr<const Library> LibraryFinder::FindIn(const SearchPaths::Folders& folders,
                                                     std::string_view name, bool& of_origin) {
  if (folders.list.empty()) return nullptr;
  for (const absl::string_view folder : absl::StrSplit(folders.list, ':', absl::SkipEmpty())) {
    bool used_origin = false;
    std::string path = Expand({folder.data(), folder.size()}, folders.origin, used_origin);
    if (path.empty()) continue;
    path.append("/").append(name);
    if (auto found = Open(path, false)) {
      of_origin = of_origin || used_origin;
      return found;
    }
  }
  return nullptr;
}

// The format is described in ldconfig's dl-cache.h: a header, entries that point to a name and a path, the
// strings.
void LibraryFinder::ReadCache() {
  const base::FileDescriptor fd(::open(kCachePath, O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    cached_paths_.clear();
    return;
  }
  if (SameFile(status, cache_status_)) return;
  cached_paths_.clear();
  cache_status_ = status;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > kLargestCache) return;
  const auto bytes = FileBytes::Copy(fd.get(), size);
  if (!bytes.ok()) return;
  std::string_view cache(reinterpret_cast<const char*>(bytes->bytes().data()), bytes->bytes().size());
  constexpr std::string_view kOldMagic = "ld.so-1.7.0";
  constexpr std::string_view kMagic = "glibc-ld.so.cache1.1";
  constexpr std::size_t kOldHeader = 16, kOldEntry = 12, kHeader = 48, kEntry = 24;
  if (cache.starts_with(kOldMagic)) {
    const std::uint64_t skip =
        (kOldHeader + std::uint64_t{Number<std::uint32_t>(cache, 12)} * kOldEntry + 7) / 8 * 8;
    if (skip > cache.size()) return;
    cache.remove_prefix(skip);
  }
  if (!cache.starts_with(kMagic) || cache.size() < kHeader) return;
  const std::uint32_t count = Number<std::uint32_t>(cache, kMagic.size());
  const auto text = [cache](std::uint32_t offset) -> std::string_view {
    if (offset >= cache.size()) return {};
    const std::size_t end = cache.find('\0', offset);
    return end == std::string_view::npos ? std::string_view() : cache.substr(offset, end - offset);
  };
  for (std::uint64_t i = 0; i < count && kHeader + (i + 1) * kEntry <= cache.size(); ++i) {
    const std::size_t at = kHeader + i * kEntry;
    const std::string_view name = text(Number<std::uint32_t>(cache, at + 4));
    const std::string_view path = text(Number<std::uint32_t>(cache, at + 8));
    const bool plain = Number<std::uint64_t>(cache, at + 16) == 0;  // not of a hardware-capability subfolder
    if (!name.empty() && !path.empty() && plain) cached_paths_.emplace(name, path);
  }
}

}  // namespace mayfly::runtime
