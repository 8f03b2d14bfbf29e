#include "runtime/loader/elf_image.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace mayfly::runtime {
namespace {

using Bytes = std::span<const std::byte>;

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
#else
#error "Mayfly runs on x86-64 and aarch64"
#endif

constexpr std::size_t kMostPrograms = 1024;
constexpr std::size_t kMostDynamicEntries = 65536;
constexpr std::size_t kMostNeeded = 1024;
constexpr std::size_t kLongestName = 1 << 20;
constexpr std::size_t kMostVersions = 32768;

template <typename T>
bool Read(Bytes bytes, std::uint64_t offset, T& value) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return false;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return true;
}

Bytes From(Bytes bytes, std::uint64_t offset) {
  return offset > bytes.size() ? Bytes{} : bytes.subspan(offset);
}

// The first `count` entries of `size` bytes, or nothing if they are not all there.
bool Take(Bytes bytes, std::uint64_t count, std::size_t size, Bytes& taken) {
  if (count > bytes.size() / size) return false;
  taken = bytes.first(count * size);
  return true;
}

std::uint32_t GnuHash(std::string_view name) {
  std::uint32_t hash = 5381;
  for (const char c : name) hash = hash * 33 + static_cast<unsigned char>(c);
  return hash;
}

std::uint32_t SysvHash(std::string_view name) {
  std::uint32_t hash = 0;
  for (const char c : name) {
    hash = (hash << 4) + static_cast<unsigned char>(c);
    const std::uint32_t high = hash & 0xf0000000;
    hash ^= high >> 24;
    hash &= ~high;
  }
  return hash;
}

std::string MachineName(std::uint16_t machine) {
  switch (machine) {
    case EM_386:
      return "32-bit x86";
    case EM_X86_64:
      return "x86-64";
    case EM_ARM:
      return "32-bit ARM";
    case EM_AARCH64:
      return "aarch64";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "POWER";
    case EM_S390:
      return "s390x";
    default:
      return fmt::format("machine {}", machine);
  }
}

std::string WhatItIs(Bytes file) {
  if (file.empty()) return "it is empty";
  const std::string_view head(reinterpret_cast<const char*>(file.data()),
                              std::min<std::size_t>(file.size(), 16));
  if (head.starts_with("!<arch>")) return "it is a static library: link it into a shared object (-shared)";
  if (head.starts_with("MZ")) return "it is a Windows program or DLL";
  if (head.starts_with("\xcf\xfa\xed\xfe") || head.starts_with("\xca\xfe\xba\xbe")) {
    return "it is a macOS binary: build it on, or for, Linux";
  }
  if (head.starts_with("\x1f\x8b") || head.starts_with("PK")) return "it is an archive: unpack it first";
  const bool text = std::ranges::all_of(
      head, [](char c) { return (c >= ' ' && c < 127) || c == '\n' || c == '\t' || c == '\r'; });
  if (text) {
    const std::size_t line = std::min(head.find_first_of("\r\n"), head.size());
    return fmt::format("it is text and begins with \"{}\"", head.substr(0, line));
  }
  return "it does not begin with the four bytes 7f 45 4c 46";
}

ElfFault Corrupt(std::string_view what) {
  return {"Corrupt", fmt::format("is damaged: {}; build or copy it again", what)};
}

ElfFault Truncated(Bytes file, std::uint64_t wanted) {
  return {"Truncated", fmt::format("is cut short: it has {} bytes and its headers speak of {}; copy it again",
                                   file.size(), wanted)};
}

}  // namespace

std::optional<ElfImage> ElfImage::Parse(Bytes file, ElfFault& fault) {
  ElfImage image;
  image.file_ = file;
  if (file.size() < SELFMAG || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) {
    fault = {"NotElf", fmt::format("is not a shared object (ELF): {}", WhatItIs(file))};
    return std::nullopt;
  }
  unsigned char identity[EI_NIDENT];
  if (!Read(file, 0, identity)) {
    fault = Truncated(file, sizeof(Elf64_Ehdr));
    return std::nullopt;
  }
  if (identity[EI_CLASS] != ELFCLASS64) {
    fault = {"WrongClass", "is a 32-bit binary, and this runtime is a 64-bit one: build it without -m32"};
    return std::nullopt;
  }
  if (identity[EI_DATA] != ELFDATA2LSB) {
    fault = {"WrongArchitecture",
             fmt::format("is built for a big-endian machine, and this one is {} (little-endian)",
                         MachineName(kMachine))};
    return std::nullopt;
  }
  if (!image.ReadSegments(fault) || !image.ReadDynamic(fault) || !image.ReadHashTables(fault))
    return std::nullopt;
  return image;
}

bool ElfImage::ReadSegments(ElfFault& fault) {
  Elf64_Ehdr header;
  if (!Read(file_, 0, header)) {
    fault = Truncated(file_, sizeof(Elf64_Ehdr));
    return false;
  }
  if (header.e_machine != kMachine) {
    fault = {"WrongArchitecture",
             fmt::format("is built for {}, and this machine is {}: build it for this architecture",
                         MachineName(header.e_machine), MachineName(kMachine))};
    return false;
  }
  if (header.e_type == ET_REL) {
    fault = {"NotSharedObject", "is an object file: link it with -shared"};
    return false;
  }
  if (header.e_type != ET_DYN) {
    fault = {"NotSharedObject",
             header.e_type == ET_EXEC
                 ? "is a program, not a shared object: compile with -fPIC and link with -shared"
                 : "is not a shared object: link it with -shared"};
    return false;
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > kMostPrograms) {
    fault = Corrupt("its program headers have an impossible size");
    return false;
  }
  const std::uint64_t headers_size = std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  Bytes headers;
  if (!Take(From(file_, header.e_phoff), header.e_phnum, sizeof(Elf64_Phdr), headers)) {
    fault = Truncated(file_, std::max<std::uint64_t>(header.e_phoff, file_.size()) + headers_size);
    return false;
  }
  std::uint64_t dynamic_address = 0;
  std::uint64_t dynamic_size = 0;
  std::uint64_t last_end = 0;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    Read(headers, i * sizeof(segment), segment);
    if (segment.p_type == PT_INTERP) is_program_ = true;
    if (segment.p_type == PT_DYNAMIC) {
      dynamic_address = segment.p_vaddr;
      dynamic_size = segment.p_filesz;
    }
    if (segment.p_type != PT_LOAD) continue;
    if (segment.p_offset > file_.size() || segment.p_filesz > file_.size() - segment.p_offset) {
      const bool sane = segment.p_offset < (1ull << 48) && segment.p_filesz < (1ull << 48);
      fault = sane ? Truncated(file_, segment.p_offset + segment.p_filesz)
                   : Corrupt("a segment lies beyond any file's end");
      return false;
    }
    constexpr std::uint64_t kPage = 4096;
    const bool aligned = (segment.p_align <= 1 || std::has_single_bit(segment.p_align)) &&
                         segment.p_vaddr % kPage == segment.p_offset % kPage;
    if (!aligned || segment.p_filesz > segment.p_memsz || segment.p_vaddr < last_end ||
        segment.p_memsz > (1ull << 47) || segment.p_vaddr > (1ull << 47)) {
      fault = Corrupt("its segments overlap or are not aligned to pages");
      return false;
    }
    last_end = segment.p_vaddr + segment.p_memsz;
    segments_.push_back({segment.p_vaddr, segment.p_offset, segment.p_filesz});
  }
  if (dynamic_size == 0) {
    fault = {"NotSharedObject", "has no dynamic section (a static program?): link it with -shared"};
    return false;
  }
  dynamic_ = BytesAt(dynamic_address);
  if (dynamic_.size() > dynamic_size) dynamic_ = dynamic_.first(dynamic_size);
  if (segments_.empty() || dynamic_.size() < sizeof(Elf64_Dyn)) {
    fault = Corrupt("its dynamic section lies outside its segments");
    return false;
  }
  // Nothing loads the section headers, but they are written last: without them the file was not written to
  // its end.
  if (header.e_shoff != 0) {
    const std::uint64_t size = std::uint64_t{header.e_shnum} * header.e_shentsize;
    if (header.e_shoff > file_.size() || size > file_.size() - header.e_shoff) {
      fault = header.e_shoff < (1ull << 48) ? Truncated(file_, header.e_shoff + size)
                                            : Corrupt("its section headers lie beyond any file's end");
      return false;
    }
  }
  return true;
}

bool ElfImage::ReadDynamic(ElfFault& fault) {
  std::uint64_t strings = 0, strings_size = 0, symbols = 0, versions = 0, needs = 0, needs_count = 0,
                definitions = 0, definitions_count = 0, soname = 0, rpath = 0, runpath = 0, flags = 0;
  std::vector<std::uint64_t> needed;
  const std::size_t entries = std::min(dynamic_.size() / sizeof(Elf64_Dyn), kMostDynamicEntries);
  for (std::size_t i = 0; i < entries; ++i) {
    Elf64_Dyn entry;
    Read(dynamic_, i * sizeof(entry), entry);
    if (entry.d_tag == DT_NULL) break;
    const std::uint64_t value = entry.d_un.d_val;
    switch (entry.d_tag) {
      case DT_NEEDED:
        needed.push_back(value);
        break;
      case DT_STRTAB:
        strings = value;
        break;
      case DT_STRSZ:
        strings_size = value;
        break;
      case DT_SYMTAB:
        symbols = value;
        break;
      case DT_SONAME:
        soname = value;
        break;
      case DT_RPATH:
        rpath = value;
        break;
      case DT_RUNPATH:
        runpath = value;
        break;
      case DT_VERSYM:
        versions = value;
        break;
      case DT_VERNEED:
        needs = value;
        break;
      case DT_VERNEEDNUM:
        needs_count = value;
        break;
      case DT_VERDEF:
        definitions = value;
        break;
      case DT_VERDEFNUM:
        definitions_count = value;
        break;
      case DT_FLAGS_1:
        flags = value;
        break;
      default:
        break;
    }
  }
  if ((flags & DF_1_PIE) != 0) is_program_ = true;
  if (!Take(BytesAt(strings), strings_size, 1, strings_) || strings_.empty()) {
    fault = Corrupt("its string table lies outside its segments");
    return false;
  }
  symbols_ = BytesAt(symbols);
  if (versions != 0) symbol_versions_ = BytesAt(versions);

  const auto text = [this](std::uint64_t offset, std::string_view& to) {
    if (offset == 0) return true;
    const auto found = StringAt(offset);
    if (found) to = *found;
    return found.has_value();
  };
  bool good = text(soname, soname_) && text(rpath, rpath_) && text(runpath, runpath_);
  for (const std::uint64_t offset : needed) {
    std::string_view name;
    good = good && text(offset, name);
    if (!name.empty() && !std::ranges::count(needed_, name)) needed_.push_back(name);
    if (needed_.size() > kMostNeeded) good = false;
    if (!good) break;
  }
  if (!good) {
    fault = Corrupt("a name in its dynamic section lies outside its string table");
    return false;
  }
  if (!ReadNeededVersions(needs, needs_count) || !ReadDefinedVersions(definitions, definitions_count)) {
    fault = Corrupt("its symbol version tables are inconsistent");
    return false;
  }
  return true;
}

bool ElfImage::ReadNeededVersions(std::uint64_t address, std::uint64_t count) {
  if (address == 0 || count == 0) return true;
  const Bytes table = BytesAt(address);
  std::uint64_t at = 0;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(count, kMostVersions); ++i) {
    Elf64_Verneed need;
    if (!Read(table, at, need)) return false;
    const auto library = StringAt(need.vn_file);
    if (!library) return false;
    std::uint64_t aux = at + need.vn_aux;
    for (unsigned j = 0; j < need.vn_cnt; ++j) {
      Elf64_Vernaux version;
      if (!Read(table, aux, version) || needed_versions_.size() >= kMostVersions) return false;
      const auto name = StringAt(version.vna_name);
      if (!name) return false;
      needed_versions_.push_back({*library, *name, (version.vna_flags & VER_FLG_WEAK) != 0});
      const std::size_t index = version.vna_other & 0x7fff;
      if (needed_version_names_.size() <= index) needed_version_names_.resize(index + 1);
      needed_version_names_[index] = *name;
      if (version.vna_next == 0) break;
      aux += version.vna_next;
    }
    if (need.vn_next == 0) break;
    at += need.vn_next;
  }
  return true;
}

bool ElfImage::ReadDefinedVersions(std::uint64_t address, std::uint64_t count) {
  if (address == 0 || count == 0) return true;
  const Bytes table = BytesAt(address);
  std::uint64_t at = 0;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(count, kMostVersions); ++i) {
    Elf64_Verdef definition;
    Elf64_Verdaux name_entry;
    if (!Read(table, at, definition) || !Read(table, at + definition.vd_aux, name_entry)) return false;
    const auto name = StringAt(name_entry.vda_name);
    if (!name || defined_versions_.size() >= kMostVersions) return false;
    if ((definition.vd_flags & VER_FLG_BASE) == 0) {
      const std::size_t index = definition.vd_ndx & 0x7fff;
      if (defined_version_names_.size() <= index) defined_version_names_.resize(index + 1);
      defined_version_names_[index] = *name;
      defined_versions_.push_back(*name);
    }
    if (definition.vd_next == 0) break;
    at += definition.vd_next;
  }
  return true;
}

bool ElfImage::ReadHashTables(ElfFault& fault) {
  std::uint64_t gnu = 0, old = 0;
  for (std::size_t i = 0; i < std::min(dynamic_.size() / sizeof(Elf64_Dyn), kMostDynamicEntries); ++i) {
    Elf64_Dyn entry;
    Read(dynamic_, i * sizeof(entry), entry);
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_GNU_HASH) gnu = entry.d_un.d_val;
    if (entry.d_tag == DT_HASH) old = entry.d_un.d_val;
  }
  const ElfFault damaged = Corrupt("its symbol hash table lies outside its segments");
  if (gnu != 0) {
    const Bytes table = BytesAt(gnu);
    std::uint32_t head[4];  // buckets, first symbol, words of the Bloom filter, its shift
    if (!Read(table, 0, head) || !std::has_single_bit(head[2]) || head[3] >= 32 ||
        !Take(From(table, sizeof(head)), head[2], sizeof(std::uint64_t), gnu_bloom_) ||
        !Take(From(table, sizeof(head) + gnu_bloom_.size()), head[0], sizeof(std::uint32_t), gnu_buckets_)) {
      fault = damaged;
      return false;
    }
    gnu_first_symbol_ = head[1];
    gnu_bloom_shift_ = head[3];
    gnu_chains_ = From(table, sizeof(head) + gnu_bloom_.size() + gnu_buckets_.size());
    // The table does not say how many symbols there are: the last chain's end does.
    std::uint32_t last = 0;
    for (std::size_t i = 0; i < gnu_buckets_.size(); i += sizeof(std::uint32_t)) {
      std::uint32_t bucket = 0;
      Read(gnu_buckets_, i, bucket);
      last = std::max(last, bucket);
    }
    symbol_count_ = gnu_first_symbol_;
    if (last >= gnu_first_symbol_ && last != 0) {
      std::uint32_t chain = 0;
      std::uint64_t index = last;
      do {
        if (!Read(gnu_chains_, (index - gnu_first_symbol_) * sizeof(chain), chain)) {
          fault = damaged;
          return false;
        }
        ++index;
      } while ((chain & 1) == 0);
      symbol_count_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(index, UINT32_MAX));
    }
  } else if (old != 0) {
    const Bytes table = BytesAt(old);
    std::uint32_t head[2];  // buckets, chains
    if (!Read(table, 0, head) ||
        !Take(From(table, sizeof(head)), head[0], sizeof(std::uint32_t), hash_buckets_) ||
        !Take(From(table, sizeof(head) + hash_buckets_.size()), head[1], sizeof(std::uint32_t),
              hash_chains_)) {
      fault = damaged;
      return false;
    }
    symbol_count_ = head[1];
  } else {
    fault = Corrupt("it has no symbol hash table (link with -Wl,--hash-style=gnu)");
    return false;
  }
  Bytes symbols;
  if (!Take(symbols_, symbol_count_, sizeof(Elf64_Sym), symbols) ||
      (!symbol_versions_.empty() && symbol_versions_.size() / sizeof(Elf64_Half) < symbol_count_)) {
    fault = Corrupt("its symbol table lies outside its segments");
    return false;
  }
  symbols_ = symbols;
  return true;
}

Bytes ElfImage::BytesAt(std::uint64_t address) const {
  for (const Segment& segment : segments_) {
    if (address >= segment.address && address - segment.address < segment.size) {
      const std::uint64_t within = address - segment.address;
      return file_.subspan(segment.offset + within, segment.size - within);
    }
  }
  return {};
}

std::optional<std::string_view> ElfImage::StringAt(std::uint64_t offset) const {
  if (offset >= strings_.size()) return std::nullopt;
  const char* begin = reinterpret_cast<const char*>(strings_.data()) + offset;
  const void* end = std::memchr(begin, 0, std::min(strings_.size() - offset, kLongestName));
  if (end == nullptr) return std::nullopt;
  return std::string_view(begin, static_cast<std::size_t>(static_cast<const char*>(end) - begin));
}

ElfImage::Symbol ElfImage::symbol(std::uint32_t index) const {
  Elf64_Sym raw;
  if (!Read(symbols_, std::uint64_t{index} * sizeof(raw), raw)) return {"", true, true, false, 0, false};
  Symbol symbol;
  symbol.name = StringAt(raw.st_name).value_or("");
  symbol.undefined = raw.st_shndx == SHN_UNDEF;
  symbol.weak = ELF64_ST_BIND(raw.st_info) != STB_GLOBAL && ELF64_ST_BIND(raw.st_info) != STB_GNU_UNIQUE;
  const unsigned type = ELF64_ST_TYPE(raw.st_info);
  symbol.function = type == STT_FUNC || type == STT_GNU_IFUNC;
  Elf64_Half version = 0;
  if (Read(symbol_versions_, std::uint64_t{index} * sizeof(version), version)) {
    symbol.version = version & 0x7fff;
    symbol.hidden = (version & 0x8000) != 0;
  }
  return symbol;
}

std::string_view ElfImage::NeededVersionOf(const Symbol& symbol) const {
  return symbol.version >= 2 && symbol.version < needed_version_names_.size()
             ? needed_version_names_[symbol.version]
             : std::string_view();
}

bool ElfImage::Matches(std::uint32_t index, std::string_view name, std::string_view version) const {
  Elf64_Sym raw;
  if (!Read(symbols_, std::uint64_t{index} * sizeof(raw), raw)) return false;
  const unsigned bind = ELF64_ST_BIND(raw.st_info);
  const unsigned type = ELF64_ST_TYPE(raw.st_info);
  if (raw.st_shndx == SHN_UNDEF || bind == STB_LOCAL) return false;
  if (raw.st_value == 0 && raw.st_shndx != SHN_ABS && type != STT_TLS) return false;
  // Compared in place: finding each candidate's end first would cost more.
  if (raw.st_name >= strings_.size() || strings_.size() - raw.st_name <= name.size()) return false;
  const char* text = reinterpret_cast<const char*>(strings_.data()) + raw.st_name;
  if (text[name.size()] != '\0' || std::memcmp(text, name.data(), name.size()) != 0) return false;
  if (symbol_versions_.empty()) return true;
  Elf64_Half entry = 0;
  Read(symbol_versions_, std::uint64_t{index} * sizeof(entry), entry);
  const std::uint16_t defined = entry & 0x7fff;
  const bool hidden = (entry & 0x8000) != 0;
  if (version.empty()) return !hidden || defined <= 2;
  const std::string_view defined_name =
      defined < defined_version_names_.size() ? defined_version_names_[defined] : std::string_view();
  return defined_name == version || (defined_name.empty() && !hidden);
}

bool ElfImage::Defines(std::string_view name, std::string_view version, LookupBudget& budget) const {
  const auto spend = [&budget] { return budget.steps_left != 0 && budget.steps_left-- != 0; };
  if (!gnu_buckets_.empty()) {
    const std::uint32_t hash = GnuHash(name);
    std::uint64_t word = 0;
    const std::size_t words = gnu_bloom_.size() / sizeof(word);
    Read(gnu_bloom_, ((hash / 64) & (words - 1)) * sizeof(word), word);
    if (!spend() || ((word >> (hash % 64)) & (word >> ((hash >> gnu_bloom_shift_) % 64)) & 1) == 0)
      return false;
    std::uint32_t bucket = 0;
    Read(gnu_buckets_, (hash % (gnu_buckets_.size() / sizeof(bucket))) * sizeof(bucket), bucket);
    if (bucket < gnu_first_symbol_ || bucket == 0) return false;
    for (std::uint64_t index = bucket; index < symbol_count_ && spend(); ++index) {
      std::uint32_t chain = 0;
      if (!Read(gnu_chains_, (index - gnu_first_symbol_) * sizeof(chain), chain)) return false;
      if ((chain | 1) == (hash | 1) && Matches(static_cast<std::uint32_t>(index), name, version)) return true;
      if ((chain & 1) != 0) return false;
    }
    return false;
  }
  if (hash_buckets_.empty()) return false;
  std::uint32_t index = 0;
  Read(hash_buckets_, (SysvHash(name) % (hash_buckets_.size() / sizeof(index))) * sizeof(index), index);
  while (index != 0 && spend()) {
    if (Matches(index, name, version)) return true;
    if (!Read(hash_chains_, std::uint64_t{index} * sizeof(index), index)) return false;
  }
  return false;
}

}  // namespace mayfly::runtime
