// A ModuleStore holds the runtime's own copies of modules, so that what was checked is what is loaded.
//
// A module comes as a path, which somebody may write to at any time, or as bytes. It is copied into a folder
// that only the runtime enters, under its digest, checked there, and loaded from there. The copy goes when no
// revision uses it any more; copies that a killed runtime left are removed by the next one.
//
// A module that needs libraries beside it ($ORIGIN) is loaded from where it lies instead: what lies beside it
// can change as well.
//
// Admit() may be called by one thread at a time; what it returns may be dropped on any.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"
#include "base/status.h"
#include "mayfly/v1/runtime.pb.h"
#include "runtime/loader/module_checker.h"

namespace mayfly::runtime {

// A module that may be loaded, for as long as this object lives.
class StoredModule {
 public:
  StoredModule(std::string module_path, std::string digest, bool owned)
      : path(std::move(module_path)), sha256(std::move(digest)), owned_(owned) {}
  StoredModule(const StoredModule&) = delete;
  StoredModule& operator=(const StoredModule&) = delete;
  ~StoredModule();

  const std::string path;
  const std::string sha256;

 private:
  const bool owned_;
};

struct AdmitRequest {
  // The module: its path, or its bytes if `path` is "".
  std::string path = {};
  int file = -1;  // open for reading from its beginning on, in place of `path`
  std::string_view bytes = {};
  // Where `path` was copied from, if it was: problems name this one, and $ORIGIN is its folder.
  std::string source_path = {};
  std::string sha256 = {};        // in hexadecimal; "" for any
  std::string library_path = {};  // the workers' LD_LIBRARY_PATH
};

struct AdmitTimes {
  std::chrono::microseconds fetch{0};  // copy and digest
  std::chrono::microseconds check{0};
};

class ModuleStore {
 public:
  // Uses `folder`, made if it is missing (mode 0700). kFailedPrecondition if another runtime uses it.
  static absl::StatusOr<std::unique_ptr<ModuleStore>> Open(std::string folder, std::string worker_program,
                                                           std::uint64_t largest_module = 512ull << 20);

  // The module, checked; or null and `problem`: a reason of ModuleChecker, or NotReadable, NotAFile,
  // TooLarge, DigestMismatch, NoSpace.
  std::shared_ptr<const StoredModule> Admit(const AdmitRequest& request, v1::Problem& problem,
                                            AdmitTimes& times);

 private:
  ModuleStore(std::string folder, base::FileDescriptor lock, std::string worker_program,
              std::uint64_t largest_module)
      : folder_(std::move(folder)),
        lock_(std::move(lock)),
        largest_module_(largest_module),
        checker_(std::move(worker_program)) {}

  // Copies the module to `to`; its size, or -1 and `problem`.
  std::int64_t CopyTo(int to, const AdmitRequest& request, std::string_view name, v1::Problem& problem) const;

  const std::string folder_;
  const base::FileDescriptor lock_;
  const std::uint64_t largest_module_;
  ModuleChecker checker_;
  std::uint64_t next_ = 0;  // names temporary files
  std::map<std::string, std::weak_ptr<const StoredModule>> stored_;
};

// SHA-256 of `bytes` in lower-case hexadecimal.
std::string Sha256Hex(std::span<const std::byte> bytes);

}  // namespace mayfly::runtime
