// A ModuleCache is a folder of modules under their digests, <folder>/<sha256>.so, that processes share.
//
// Whoever fetches a module holds its lock, so that it is fetched once. A file gets its name once its content is complete
// and on the disk: a process or a machine that dies leaves none that is wrong. What the disk does to it later is noticed
// by who uses it, since users check the digest of what they load, and Drop() it.
//
// Bounded: Keep() removes those that were used longest ago. One that somebody has open stays readable to him.
//
// Of an image, whose module's digest nobody knows beforehand, it keeps which module was in it:
// <folder>/images/<digest of the image>, a link that says so and is never followed.
//
// Only trusted code may be able to write to the folder. Thread-safe; so are several processes with one folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/file_descriptor.h"
#include "base/status.h"

namespace mayfly::runtime {

class ModuleCache {
 public:
  // Makes `folder` (mode 0700) if it is missing.
  static absl::StatusOr<ModuleCache> Open(std::string folder, std::uint64_t most_bytes);

  // The module, open for reading, and marked as used now; nothing if it is not there.
  base::FileDescriptor Find(const std::string& sha256) const;
  // The digest of the module that the image `digest` has in it; "" if that is not known.
  std::string ModuleOfImage(const std::string& digest) const;
  void KeepImage(const std::string& digest, const std::string& sha256) const;
  // Removes what is kept under `sha256`.
  void Drop(const std::string& sha256) const;

  // The right to fetch `key`, for as long as the descriptor is open. kDeadlineExceeded if another process has it for
  // so long; `waits` is called now and then meanwhile. A key has 64 hexadecimal digits: the module's digest if it is known,
  // else another one.
  absl::StatusOr<base::FileDescriptor> Lock(const std::string& key,
                                            std::chrono::steady_clock::time_point deadline,
                                            const std::function<void()>& waits) const;
  // An empty file to fetch into. REQUIRES: the lock of `key`, as for the two below.
  absl::StatusOr<base::FileDescriptor> Begin(const std::string& key) const;
  // Gives what Begin() gave its name, `sha256`. The caller has checked that this is its digest.
  absl::Status Keep(const std::string& key, const std::string& sha256,
                    const base::FileDescriptor& file) const;
  // Removes what Begin() gave.
  void Abandon(const std::string& key) const;
  // An empty file without a name, for what only this process needs.
  absl::StatusOr<base::FileDescriptor> Scratch() const;

 private:
  ModuleCache(std::string folder, std::uint64_t most_bytes)
      : folder_(std::move(folder)), most_bytes_(most_bytes) {}

  std::string PathOf(const std::string& sha256) const { return folder_ + "/" + sha256 + ".so"; }
  std::string PartOf(const std::string& key) const { return folder_ + "/" + key + ".part"; }
  std::string ImagePathOf(const std::string& digest) const { return folder_ + "/images/" + digest; }
  // Forgets images whose modules are not kept any more.
  void TrimImages() const;
  void Trim(const std::string& kept) const;

  std::string folder_;
  std::uint64_t most_bytes_;
};

}  // namespace mayfly::runtime
