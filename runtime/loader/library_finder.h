// A LibraryFinder finds the libraries that a module needs where ld.so will: RPATH or RUNPATH, the library
// path, /etc/ld.so.cache, the system's folders; and reads them without mapping them for execution.
//
// Libraries of the system are kept between checks and read again only if their file has changed.
//
// Not thread-safe: whoever owns it checks one module at a time.
#pragma once

#include <sys/stat.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/loader/elf_image.h"
#include "runtime/loader/file_bytes.h"

namespace mayfly::runtime {

struct Library {
  Library(std::string library_path, FileBytes library_bytes, ElfImage library_image, bool system)
      : path(std::move(library_path)),
        bytes(std::move(library_bytes)),
        image(std::move(library_image)),
        of_system(system) {}

  const std::string path;
  const FileBytes bytes;
  const ElfImage image;
  const bool of_system;  // found through the cache or in a default folder
};

// Where one object's needs are searched, in ld.so's order.
struct SearchPaths {
  struct Folders {
    std::string list;    // separated by colons
    std::string origin;  // what $ORIGIN in it stands for; entries with $ORIGIN are skipped if ""
  };
  std::vector<Folders> before;  // RPATH of the object and of those that loaded it
  std::string library_path;     // LD_LIBRARY_PATH
  Folders after;                // RUNPATH
};

class LibraryFinder {
 public:
  // The library that a need for `name` loads, or null. `of_origin` is set if $ORIGIN led to it.
  std::shared_ptr<const Library> Find(std::string_view name, const SearchPaths& paths, bool& of_origin);

  // The program or library at `path`, or null if it cannot be read or is not for this machine.
  std::shared_ptr<const Library> Open(const std::string& path, bool of_system);

 private:
  struct Kept {
    struct stat status;
    std::shared_ptr<const Library> library;
  };
  std::shared_ptr<const Library> FindIn(const SearchPaths::Folders& folders, std::string_view name,
                                        bool& of_origin);
  void ReadCache();

  std::map<std::string, Kept, std::less<>> kept_;
  struct stat cache_status_{};
  std::multimap<std::string, std::string, std::less<>> cached_paths_;
};

}  // namespace mayfly::runtime
