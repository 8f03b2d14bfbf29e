#include "runtime/symbolizer/module_symbols.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <optional>

namespace mayfly::symbolizer {
namespace {

// Longer names are more work for the demangler than they are worth.
constexpr std::size_t kMaxMangledBytes = 4096;
constexpr std::size_t kMaxSegments = 1000;

struct Free {
  void operator()(void* memory) const { free(memory); }
};

struct Place {
  const char* file = nullptr;
  int line = 0;
};

// No file but the one that was given is opened.
int NoElf(Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) { return -1; }
int NoDebugFile(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word, char**) {
  return -1;
}

std::string Demangled(const char* name) {
  const std::size_t size = strnlen(name, kMaxMangledBytes);
  if (size == kMaxMangledBytes) return std::string(name, size);
  int status = 0;
  const std::unique_ptr<char, Free> demangled(abi::__cxa_demangle(name, nullptr, nullptr, &status));
  return status == 0 && demangled != nullptr ? demangled.get() : name;
}

// The name with its parameters, from a function's own entry or from what it was inlined from; "" if it has none.
std::string LinkageName(Dwarf_Die& die) {
  Dwarf_Attribute attribute;
  if (dwarf_attr_integrate(&die, DW_AT_linkage_name, &attribute) == nullptr &&
      dwarf_attr_integrate(&die, DW_AT_MIPS_linkage_name, &attribute) == nullptr) {
    return "";
  }
  const char* name = dwarf_formstring(&attribute);
  return name == nullptr ? "" : Demangled(name);
}

std::string PlainName(Dwarf_Die& die) {
  const char* name = dwarf_diename(&die);
  return name == nullptr ? "" : name;
}

std::string Text(const std::string& name, const Place& place) {
  std::string text = name.empty() ? "??" : name;
  if (place.file != nullptr) text += " at " + std::string(place.file) + ":" + std::to_string(place.line);
  return text;
}

// Where the function that `inlined` is part of calls it.
Place CallPlace(Dwarf_Die& unit, Dwarf_Die& inlined) {
  Place place;
  Dwarf_Attribute attribute;
  Dwarf_Word file = 0;
  Dwarf_Word line = 0;
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  if (dwarf_formudata(dwarf_attr(&inlined, DW_AT_call_file, &attribute), &file) != 0 ||
      dwarf_getsrcfiles(&unit, &files, &count) != 0 || file >= count) {
    return place;
  }
  place.file = dwarf_filesrc(files, file, nullptr, nullptr);
  if (dwarf_formudata(dwarf_attr(&inlined, DW_AT_call_line, &attribute), &line) == 0) {
    place.line = static_cast<int>(line);
  }
  return place;
}

std::string Hexadecimal(std::uint64_t number) {
  char digits[20];
  snprintf(digits, sizeof(digits), "0x%llx", static_cast<unsigned long long>(number));
  return digits;
}

// clang writes no .debug_aranges, and without them libdw looks no further.
Dwarf_Die* UnitAt(Dwfl_Module* module, Dwarf_Addr address, Dwarf_Addr& bias) {
  if (Dwarf_Die* const unit = dwfl_module_addrdie(module, address, &bias)) return unit;
  for (Dwarf_Die* unit = nullptr; (unit = dwfl_module_nextcu(module, unit, &bias)) != nullptr;) {
    if (dwarf_haspc(unit, address - bias) == 1) return unit;
  }
  return nullptr;
}

}  // namespace

struct ModuleSymbols::Session {
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (dwfl != nullptr) dwfl_end(dwfl);
  }
  std::optional<Dwarf_Addr> AddressOf(std::uint64_t file_offset) const;
  std::string SymbolAt(Dwarf_Addr address, GElf_Off& offset) const;

  Dwfl* dwfl = nullptr;
  Dwfl_Module* module = nullptr;
};

// The segments say where the bytes of the file are in memory.
std::optional<Dwarf_Addr> ModuleSymbols::Session::AddressOf(std::uint64_t file_offset) const {
  GElf_Addr bias = 0;
  Elf* elf = dwfl_module_getelf(module, &bias);
  std::size_t count = 0;
  if (elf == nullptr || elf_getphdrnum(elf, &count) != 0) return std::nullopt;
  for (std::size_t i = 0; i < count && i < kMaxSegments; ++i) {
    GElf_Phdr segment;
    if (gelf_getphdr(elf, static_cast<int>(i), &segment) == nullptr) break;
    if (segment.p_type == PT_LOAD && file_offset >= segment.p_offset &&
        file_offset - segment.p_offset < segment.p_filesz) {
      return file_offset - segment.p_offset + segment.p_vaddr + bias;
    }
  }
  return std::nullopt;
}

std::string ModuleSymbols::Session::SymbolAt(Dwarf_Addr address, GElf_Off& offset) const {
  GElf_Sym symbol;
  const char* name = dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr);
  return name == nullptr || *name == '\0' ? "" : Demangled(name);
}

ModuleSymbols::ModuleSymbols(int fd) : session_(std::make_unique<Session>()) {
  static const Dwfl_Callbacks callbacks = {NoElf, NoDebugFile, nullptr, nullptr};
  session_->dwfl = dwfl_begin(&callbacks);
  if (session_->dwfl != nullptr) {
    dwfl_report_begin(session_->dwfl);
    session_->module = dwfl_report_elf(session_->dwfl, "module", "module", fd, 0, true);
    dwfl_report_end(session_->dwfl, nullptr, nullptr);
  }
  if (session_->module != nullptr) return;
  session_.reset();
  close(fd);
}

ModuleSymbols::~ModuleSymbols() = default;

std::vector<std::string> ModuleSymbols::Describe(std::uint64_t file_offset) const {
  std::vector<std::string> texts;
  if (session_ == nullptr) return texts;
  const auto address = session_->AddressOf(file_offset);
  if (!address) return texts;
  GElf_Off symbol_offset = 0;
  const std::string symbol = session_->SymbolAt(*address, symbol_offset);
  Place place;
  std::string function;
  Dwarf_Addr bias = 0;
  if (Dwarf_Die* unit = UnitAt(session_->module, *address, bias)) {
    if (Dwarf_Line* line = dwarf_getsrc_die(unit, *address - bias)) {
      place.file = dwarf_linesrc(line, nullptr, nullptr);
      dwarf_lineno(line, &place.line);
    }
    Dwarf_Die* list = nullptr;
    const int count = dwarf_getscopes(unit, *address - bias, &list);
    const std::unique_ptr<Dwarf_Die, Free> innermost(list);
    list = nullptr;
    // The first list goes on with where an inlined function was written, this one with where it was put.
    const int depth = count > 0 ? dwarf_getscopes_die(innermost.get(), &list) : 0;
    const std::unique_ptr<Dwarf_Die, Free> scopes(list);
    for (int i = 0; i < depth && texts.size() < kMaxInlined; ++i) {
      Dwarf_Die& die = scopes.get()[i];
      const int tag = dwarf_tag(&die);
      if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
      std::string name = LinkageName(die);
      if (tag == DW_TAG_subprogram) {
        function = name.empty() && symbol.empty() ? PlainName(die) : name;
        break;
      }
      texts.push_back(Text(name.empty() ? PlainName(die) : name, place));
      place = CallPlace(*unit, die);
    }
  }
  if (function.empty()) function = symbol;
  if (place.file != nullptr) {
    texts.push_back(Text(function, place));
  } else if (!symbol.empty()) {
    texts.push_back(symbol + "+" + Hexadecimal(symbol_offset));
  }
  return texts;
}

}  // namespace mayfly::symbolizer
