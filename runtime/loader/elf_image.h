// An ElfImage is what ld.so would see in a shared object, read without mapping it for execution.
//
// It reads the way the dynamic linker does, through program headers and the dynamic section: section headers
// may be stripped and prove nothing. The bytes are hostile: every offset is checked against the file before
// it is followed, and nothing is trusted to be terminated, aligned or consistent.
//
// An image borrows its bytes, which must not change or go while it lives. Const methods are thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::runtime {

// Why a file cannot be loaded: a reason for machines, and a sentence without its subject ("is not an ELF file
// …").
struct ElfFault {
  std::string reason;
  std::string message;
};

// A bound on how much work a hostile hash table can cause; shared by the lookups of one check.
struct LookupBudget {
  std::uint64_t steps_left = 20'000'000;
};

class ElfImage {
 public:
  struct NeededVersion {
    std::string_view library;
    std::string_view name;
    bool weak = false;
  };
  struct Symbol {
    std::string_view name;
    bool undefined = false;
    bool weak = false;
    bool function = false;
    std::uint16_t version = 0;  // index into the versions, without the hidden bit
    bool hidden = false;        // a version that is not its symbol's default
  };

  // Empty if the bytes are no loadable shared object (or position-independent program) of this machine;
  // `fault` says why: NotElf, Truncated, WrongClass, WrongArchitecture, NotSharedObject, Corrupt.
  static std::optional<ElfImage> Parse(std::span<const std::byte> file, ElfFault& fault);

  // Whether it is a program rather than a library.
  bool is_program() const { return is_program_; }
  std::string_view soname() const { return soname_; }
  const std::vector<std::string_view>& needed() const { return needed_; }
  // Search paths as written, separated by colons. ld.so ignores the first if the second is there.
  std::string_view rpath() const { return rpath_; }
  std::string_view runpath() const { return runpath_; }
  const std::vector<NeededVersion>& needed_versions() const { return needed_versions_; }
  // Without the base version, which is the library's own name.
  const std::vector<std::string_view>& defined_versions() const { return defined_versions_; }

  std::uint32_t symbol_count() const { return symbol_count_; }
  // A symbol whose entry does not lie within the file is undefined, weak and has no name.
  Symbol symbol(std::uint32_t index) const;
  // The name of the version that `symbol`, an undefined one, asks for; "" if none.
  std::string_view NeededVersionOf(const Symbol& symbol) const;

  // Whether a reference to `name` of `version` ("" for any) binds to this image, by ld.so's rules. False if
  // the budget is used up.
  bool Defines(std::string_view name, std::string_view version, LookupBudget& budget) const;

 private:
  using Bytes = std::span<const std::byte>;
  struct Segment {
    std::uint64_t address;
    std::uint64_t offset;
    std::uint64_t size;  // in the file
  };

  ElfImage() = default;
  bool ReadSegments(ElfFault& fault);
  bool ReadDynamic(ElfFault& fault);
  bool ReadHashTables(ElfFault& fault);
  bool ReadNeededVersions(std::uint64_t address, std::uint64_t count);
  bool ReadDefinedVersions(std::uint64_t address, std::uint64_t count);
  // The bytes of the file from virtual `address` to the end of its segment.
  Bytes BytesAt(std::uint64_t address) const;
  std::optional<std::string_view> StringAt(std::uint64_t offset) const;
  bool Matches(std::uint32_t index, std::string_view name, std::string_view version) const;

  Bytes file_;
  std::vector<Segment> segments_;
  Bytes dynamic_;
  Bytes strings_;
  Bytes symbols_;
  Bytes symbol_versions_;  // empty if symbols have no versions

  Bytes gnu_bloom_;
  Bytes gnu_buckets_;
  Bytes gnu_chains_;
  std::uint32_t gnu_first_symbol_ = 0;
  std::uint32_t gnu_bloom_shift_ = 0;
  Bytes hash_buckets_;  // the old table; used only without the GNU one
  Bytes hash_chains_;

  std::uint32_t symbol_count_ = 0;
  bool is_program_ = false;
  std::string_view soname_;
  std::string_view rpath_;
  std::string_view runpath_;
  std::vector<std::string_view> needed_;
  std::vector<NeededVersion> needed_versions_;
  std::vector<std::string_view> needed_version_names_;  // by index
  std::vector<std::string_view> defined_versions_;
  std::vector<std::string_view> defined_version_names_;  // by index
};

}  // namespace mayfly::runtime
