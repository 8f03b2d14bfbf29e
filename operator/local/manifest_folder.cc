#include "operator/local/manifest_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file_descriptor.h"
#include "operator/api/manifest.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

namespace fs = std::filesystem;

bool IsLeftOut(absl::string_view name) {
  return absl::StartsWith(name, ".") || name == "build" || name == "target" || name == "node_modules";
}

void ScanFolder(const std::string& folder, int depth, ManifestScan& scan) {
  if (depth > kDeepest) {
    scan.cut_short = absl::StrCat(folder, " lies more than ", kDeepest, " folders deep");
    return;
  }
  DIR* const open = ::opendir(folder.c_str());
  if (open == nullptr) {
    // That it went, its parent's watch says.
    if (errno != ENOENT && errno != ENOTDIR)
      scan.cut_short = std::string(base::ErrnoStatus(errno, "cannot read the folder " + folder).message());
    return;
  }
  scan.folders.insert(folder);
  while (const dirent* const entry = ::readdir(open)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = absl::StrCat(folder, "/", name);
    const bool manifest = IsManifestName(path);
    if (!manifest && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) continue;
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      if (!IsLeftOut(name)) ScanFolder(path, depth + 1, scan);
      continue;
    }
    if (!manifest) continue;
    // What a link leads to; itself if that cannot be found out. Whatever is no file is told when it is read.
    if (::stat(path.c_str(), &info) != 0 && errno == ENOENT) continue;
    if (S_ISDIR(info.st_mode)) continue;
    if (scan.files.size() >= kMostFiles) {
      scan.cut_short = absl::StrCat("there are more than ", kMostFiles, " manifests");
      break;
    }
    scan.files.emplace(path, FileIdentity::Of(info));
  }
  ::closedir(open);
}

ManifestFile Broken(const std::string& path, absl::string_view why) {
  v1::Problem problem = v1::MakeProblem("operator", "ManifestUnreadable", absl::StrCat(path, ": ", why));
  return {.entries = {ManifestEntry{"", nullptr, std::move(problem)}}, .secrets = {}, .warnings = {}};
}

// Whether some line of `text` is "kind: `kind`".
bool IsKind(absl::string_view text, absl::string_view kind) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "kind:") && absl::StripAsciiWhitespace(line) == kind) return true;
  }
  return false;
}

void AddWarning(const ManifestDocument& document, ManifestFile& file) {
  if (document.doubtful && !document.mistakes.empty())
    file.warnings.push_back(document.mistakes.front().ToString());
}

ManifestFile ParseDocuments(const std::string& path, const std::string& text, bool given) {
  ManifestFile file;
  std::vector<ManifestEntry>& entries = file.entries;
  if (absl::StartsWith(text, "\xff\xfe") || absl::StartsWith(text, "\xfe\xff")) {
    file.warnings.push_back(absl::StrCat(path, ": is UTF-16 and is not read: save it as UTF-8"));
    return file;
  }
  if (IsKind(text, "Secret")) file.secrets = ReadSecrets(text);
  // Among manifests lie files of other tools, some of them templates that are no YAML yet. A Function that does not say
  // whose it is will be one of ours with a line forgotten.
  const bool forgotten = !absl::StrContains(text, "apiVersion") && IsKind(text, "Function");
  if (!given && !forgotten && !absl::StrContains(text, "mayfly.dev")) {
    if (!IsKind(text, "Function") && !IsKind(text, "RuntimePool") && !absl::StrContains(text, "artifact:"))
      return file;
    for (const ManifestDocument& document : ParseManifest(text, path).documents) AddWarning(document, file);
    return file;
  }
  given = given || forgotten;
  Manifest manifest = ParseManifest(text, path);
  if (!manifest.mistakes.empty()) {
    entries.push_back(ManifestEntry{"", nullptr, ToProblem(manifest.mistakes)});
    return file;
  }
  for (ManifestDocument& document : manifest.documents) {
    if (document.foreign && !given) {
      AddWarning(document, file);
      continue;
    }
    ManifestEntry entry;
    entry.key = std::move(document.key);
    if (document.function) {
      entry.function = std::make_shared<const Function>(*std::move(document.function));
    } else {
      entry.problem = ToProblem(document.mistakes);
    }
    entries.push_back(std::move(entry));
  }
  return file;
}

}  // namespace

ManifestScan ScanManifests(const std::vector<std::string>& roots) {
  ManifestScan scan;
  for (const std::string& root : roots) {
    struct stat info{};
    if (::stat(root.c_str(), &info) != 0) {
      scan.folders.insert(NearestFolder(root));
    } else if (S_ISDIR(info.st_mode)) {
      ScanFolder(root, 0, scan);
    } else {
      scan.folders.insert(fs::path(root).parent_path().string());
      scan.files.emplace(root, FileIdentity::Of(info));
    }
  }
  return scan;
}

bool IsManifestName(const std::string& path) {
  return absl::EndsWith(path, ".yaml") || absl::EndsWith(path, ".yml");
}

absl::StatusOr<ManifestFile> ReadManifest(const std::string& path, bool given) {
  const base::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return ManifestFile{};
    return Broken(path, base::ErrnoStatus(errno, "cannot be opened").message());
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Broken(path, "is no regular file");
  }
  if (static_cast<std::size_t>(info.st_size) > kLargestManifest) {
    return Broken(
        path, absl::StrCat("has ", info.st_size, " bytes; a manifest may have at most ", kLargestManifest));
  }
  if (HasWriter(file.get())) return absl::UnavailableError(absl::StrCat(path, " is being written"));
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t size = ::read(file.get(), text.data() + filled, text.size() - filled);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Broken(path, base::ErrnoStatus(errno, "cannot be read").message());
    if (size == 0) break;
    filled += static_cast<std::size_t>(size);
  }
  text.resize(filled);
  return ParseDocuments(path, text, given);
}

std::string NearestFolder(const std::string& path) {
  fs::path at = path;
  std::error_code error;
  while (at.has_relative_path() && !fs::is_directory(at, error)) at = at.parent_path();
  return at.string();
}

}  // namespace mayfly::op
