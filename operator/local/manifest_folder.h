// Finding and reading manifest files: *.yaml and *.yml under the folders (or the files) that `mayfly up` was
// given.
//
// Below a given folder, sub-folders whose names begin with a dot, and those that tools fill (build, target,
// node_modules), are left out; so are links to folders. A YAML file that is no Mayfly manifest is left out
// too. What is read is bounded: kMostFiles files, kDeepest folders deep, kLargestManifest bytes each.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "operator/api/secret_manifest.h"
#include "operator/local/artifact_store.h"
#include "operator/local/manifest_index.h"

namespace mayfly::op {

inline constexpr std::size_t kMostFiles = 20'000;
inline constexpr int kDeepest = 16;
inline constexpr std::size_t kLargestManifest = 1u << 20;

struct ManifestScan {
  std::map<std::string, FileIdentity> files;
  // Every folder whose changes could change `files`.
  std::set<std::string> folders;
  // Why the scan is not complete; "" if it is.
  std::string cut_short;
};

// Looks below every one of `roots`, absolute paths of folders or files. An absent root has no files, and the
// nearest folder above it that exists is among `folders`.
ManifestScan ScanManifests(const std::vector<std::string>& roots);

// Whether `path`, which lies in a scanned folder, would be among ScanManifests().files.
bool IsManifestName(const std::string& path);

struct ManifestFile {
  std::vector<ManifestEntry> entries;
  std::vector<SecretManifest> secrets;
  // Of documents that are passed over although they look like Mayfly's: where, what is wrong, and how to mend it.
  std::vector<std::string> warnings;
};

// What the manifest at `path` says. What is wrong with it is in the entries' problems. Empty if the file is gone or,
// unless it was `given` by name, if it is no manifest of Mayfly's and has no Secret. The only error is kUnavailable, while
// somebody is still writing the file.
absl::StatusOr<ManifestFile> ReadManifest(const std::string& path, bool given);

// The nearest folder at or above `path` that exists.
std::string NearestFolder(const std::string& path);

}  // namespace mayfly::op
