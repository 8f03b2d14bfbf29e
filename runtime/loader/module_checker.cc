#include "runtime/loader/module_checker.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

namespace mayfly::runtime {
namespace {

constexpr std::string_view kModuleSymbol = "mayfly_module_v1";
constexpr std::string_view kModuleSymbolStem = "mayfly_module_v";
constexpr std::size_t kMostLibraries = 512;
constexpr std::size_t kMostNamed = 5;

// One object of the dynamic linker's search scope.
struct Loaded {
  std::string name;
  const ElfImage* image;
  std::shared_ptr<const Library> library;  // null for the module
  std::string origin;
  std::size_t loaded_by;  // index; its own for the first
};

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::string Demangled(std::string_view symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(std::string(symbol).c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 && text ? std::string(text.get()) : std::string(symbol);
}

std::vector<int> Numbers(std::string_view version) {
  std::vector<int> numbers;
  std::size_t at = version.find_first_of("0123456789");
  while (at < version.size()) {
    int number = 0;
    const auto [end, error] = std::from_chars(version.data() + at, version.data() + version.size(), number);
    if (error != std::errc()) break;
    numbers.push_back(number);
    at = static_cast<std::size_t>(end - version.data()) + 1;
  }
  return numbers;
}

// The newest of `image`'s versions that belongs to the same family as `wanted` ("GLIBC_", "GLIBCXX_").
std::string_view NewestLike(const ElfImage& image, std::string_view wanted) {
  const std::string_view family = wanted.substr(0, wanted.find('_') + 1);
  std::string_view newest;
  for (const std::string_view version : image.defined_versions()) {
    const bool numbered =
        version.size() > family.size() && version[family.size()] >= '0' && version[family.size()] <= '9';
    if (!version.starts_with(family) || !numbered) continue;
    if (newest.empty() || Numbers(newest) < Numbers(version)) newest = version;
  }
  return newest;
}

// Builds the search scope of a dlopen() and asks it questions.
class Scope {
 public:
  Scope(LibraryFinder& finder, const CheckRequest& request) : finder_(finder), request_(request) {}

  void AddProgram(const std::string& path) {
    auto program = finder_.Open(path, true);
    if (!program) return;
    Add(path, program, objects_.size());
    AddNeeds(0);
  }

  std::optional<v1::Problem> AddModule(const ElfImage& module) {
    module_ = objects_.size();
    needs_origin_ = false;
    objects_.push_back({request_.name, &module, nullptr, request_.origin, module_});
    return AddNeeds(module_);
  }

  std::optional<v1::Problem> CheckVersions() const {
    for (std::size_t i = module_; i < objects_.size(); ++i) {
      if (OfSystem(i)) continue;
      for (const ElfImage::NeededVersion& needed : objects_[i].image->needed_versions()) {
        const Loaded* library = ByName(needed.library);
        if (library == nullptr || needed.weak || library->image->defined_versions().empty()) continue;
        const auto& defined = library->image->defined_versions();
        if (std::ranges::find(defined, needed.name) == defined.end())
          return VersionProblem(i, needed, *library);
      }
    }
    return std::nullopt;
  }

  std::optional<v1::Problem> CheckSymbols() const {
    LookupBudget budget;
    for (std::size_t i = module_; i < objects_.size(); ++i) {
      if (OfSystem(i)) continue;
      const ElfImage& image = *objects_[i].image;
      std::vector<std::string_view> missing;
      for (std::uint32_t index = 1; index < image.symbol_count(); ++index) {
        const ElfImage::Symbol symbol = image.symbol(index);
        const std::uint64_t cost = 1 + symbol.name.size() / 64;
        budget.steps_left -= std::min(budget.steps_left, cost);
        if (!symbol.undefined || symbol.weak || symbol.name.empty()) continue;
        if (!Defined(symbol.name, image.NeededVersionOf(symbol), budget)) missing.push_back(symbol.name);
        if (budget.steps_left == 0) {
          return ModuleProblem("TooComplex", Subject(i), "has a symbol table that takes too long to check");
        }
      }
      if (!missing.empty()) return SymbolProblem(i, missing);
    }
    return std::nullopt;
  }

  bool needs_origin() const { return needs_origin_; }

 private:
  void Add(std::string name, std::shared_ptr<const Library> library, std::size_t loaded_by) {
    const ElfImage* image = &library->image;
    std::string origin = FolderOf(library->path);
    objects_.push_back({std::move(name), image, std::move(library), std::move(origin), loaded_by});
  }

  // The libraries that object `first`, and those that it brings, need. Each is loaded once, whoever needs it
  // first.
  std::optional<v1::Problem> AddNeeds(std::size_t first) {
    for (std::size_t i = first; i < objects_.size(); ++i) {
      for (const std::string_view name : objects_[i].image->needed()) {
        if (ByName(name) != nullptr) continue;
        if (objects_.size() >= kMostLibraries) {
          return ModuleProblem("TooComplex", request_.name, "needs more than 500 libraries");
        }
        bool of_origin = false;
        auto library = finder_.Find(name, PathsOf(i), of_origin);
        if (!library) return MissingLibrary(i, name);
        needs_origin_ = needs_origin_ || of_origin;
        Add(std::string(name), std::move(library), i);
      }
    }
    return std::nullopt;
  }

  SearchPaths PathsOf(std::size_t index) const {
    SearchPaths paths;
    paths.library_path = request_.library_path;
    const Loaded& object = objects_[index];
    if (!object.image->runpath().empty()) {
      paths.after = {std::string(object.image->runpath()), object.origin};
      return paths;
    }
    for (std::size_t i = index;; i = objects_[i].loaded_by) {
      const Loaded& loader = objects_[i];
      if (loader.image->runpath().empty() && !loader.image->rpath().empty()) {
        paths.before.push_back({std::string(loader.image->rpath()), loader.origin});
      }
      if (loader.loaded_by == i) break;
    }
    return paths;
  }

  const Loaded* ByName(std::string_view name) const {
    for (const Loaded& object : objects_) {
      if (object.name == name || (object.library && object.image->soname() == name)) return &object;
    }
    return nullptr;
  }

  bool Defined(std::string_view name, std::string_view version, LookupBudget& budget) const {
    return std::ranges::any_of(
        objects_, [&](const Loaded& object) { return object.image->Defines(name, version, budget); });
  }

  // The distribution built these against each other.
  bool OfSystem(std::size_t index) const {
    return objects_[index].library && objects_[index].library->of_system;
  }

  std::string Subject(std::size_t index) const {
    return index == module_ ? request_.name
                            : fmt::format("{}: {}, which it needs,", request_.name, objects_[index].name);
  }

  v1::Problem MissingLibrary(std::size_t index, std::string_view name) const {
    if (name.starts_with("libc.musl-") || name.starts_with("ld-musl-")) {
      return ModuleProblem(
          "MissingLibrary", Subject(index),
          fmt::format("needs {}: it was built for musl (Alpine); build it against glibc", name));
    }
    const bool origin = objects_[index].image->runpath().find("$ORIGIN") != std::string_view::npos ||
                        objects_[index].image->rpath().find("$ORIGIN") != std::string_view::npos;
    return ModuleProblem(
        "MissingLibrary", Subject(index),
        fmt::format(
            "needs the library {}, which is not on this machine: {}", name,
            origin && objects_[index].origin.empty()
                ? "the module was sent by itself, so $ORIGIN has nothing beside it; link the library "
                  "statically, "
                  "or put it into the runtime's image"
                : "link it statically, install it (in a cluster: into the runtime's image), or link with "
                  "-Wl,-rpath,'$ORIGIN' and put it beside the module"));
  }

  v1::Problem VersionProblem(std::size_t index, const ElfImage::NeededVersion& needed,
                             const Loaded& library) const {
    const std::string_view newest = NewestLike(*library.image, needed.name);
    const std::string has =
        newest.empty() ? std::string("does not define it") : fmt::format("goes up to {}", newest);
    if (needed.name.starts_with("GLIBC_")) {
      return ModuleProblem(
          "NewerGlibc", Subject(index),
          fmt::format("needs {} of {}, and the one here {}: it was built on a newer distribution; build it "
                      "on an older one "
                      "(or in the runtime's image), or run a runtime image that is at least as new",
                      needed.name, needed.library, has));
    }
    if (needed.name.starts_with("GLIBCXX_") || needed.name.starts_with("CXXABI_") ||
        needed.name.starts_with("GCC_")) {
      return ModuleProblem(
          "NewerLibstdcxx", Subject(index),
          fmt::format("needs {} of {}, and the one here {}: it was built with a newer compiler; build it "
                      "with the one of the runtime's image, or link with -static-libstdc++ -static-libgcc",
                      needed.name, needed.library, has));
    }
    return ModuleProblem(
        "MissingVersion", Subject(index),
        fmt::format("needs version {} of {}, and the one here ({}) {}: install the version that it was "
                    "built against",
                    needed.name, needed.library, library.library ? library.library->path : library.name,
                    has));
  }

  v1::Problem SymbolProblem(std::size_t index, const std::vector<std::string_view>& missing) const {
    std::string names;
    for (std::size_t i = 0; i < std::min(missing.size(), kMostNamed); ++i) {
      if (!names.empty()) names += ", ";
      std::string name = Demangled(missing[i]);
      constexpr std::size_t kLongest = 300;
      if (name.size() > kLongest) name.resize(kLongest), name += "...";
      names += name;
    }
    if (missing.size() > kMostNamed) names += fmt::format(" and {} more", missing.size() - kMostNamed);
    return ModuleProblem(
        "MissingSymbol", Subject(index),
        fmt::format("has {}: {}; no library that it needs defines {}. Link the library or source that "
                    "does; link with -Wl,-z,defs to see this at build time",
                    missing.size() == 1 ? "an unresolved symbol" : "unresolved symbols", names,
                    missing.size() == 1 ? "it" : "them"));
  }

  LibraryFinder& finder_;
  const CheckRequest& request_;
  std::vector<Loaded> objects_;
  std::size_t module_ = 0;
  bool needs_origin_ = false;
};

std::optional<v1::Problem> CheckModuleSymbol(const ElfImage& image, const std::string& name) {
  LookupBudget budget;
  if (image.Defines(kModuleSymbol, "", budget)) return std::nullopt;
  for (std::uint32_t index = 1; index < image.symbol_count() && budget.steps_left > 0; ++index) {
    const ElfImage::Symbol symbol = image.symbol(index);
    budget.steps_left -= std::min<std::uint64_t>(budget.steps_left, 1 + symbol.name.size() / 64);
    if (symbol.undefined || !symbol.name.starts_with(kModuleSymbolStem)) continue;
    const std::string_view version = symbol.name.substr(kModuleSymbolStem.size());
    if (version.empty() || version.size() > 6 ||
        !std::ranges::all_of(version, [](char c) { return c >= '0' && c <= '9'; })) {
      continue;
    }
    return ModuleProblem(
        "AbiMismatch", name,
        fmt::format("is made for version {} of Mayfly's module ABI, and this runtime speaks version 1: build "
                    "it with the SDK of this release",
                    version));
  }
  return ModuleProblem(
      "NoModuleSymbol", name,
      "does not export mayfly_module_v1, so it has no handlers: register one with the SDK "
      "(MAYFLY_FUNCTION, or mayfly_module_v1 in C), and do not hide the symbol (version script, "
      "-Wl,--exclude-libs)");
}

}  // namespace

v1::Problem ModuleProblem(std::string_view reason, std::string_view name, std::string_view sentence) {
  v1::Problem problem;
  problem.set_component("runtime");
  problem.set_reason(std::string(reason));
  // Names in the sentence come from the file: what is not plain text would break the message or a terminal.
  std::string text(sentence);
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  problem.set_message(fmt::format("{} {}", name, text));
  return problem;
}

CheckVerdict ModuleChecker::Check(std::span<const std::byte> module, const CheckRequest& request) {
  CheckVerdict verdict;
  ElfFault fault;
  const std::optional<ElfImage> image = ElfImage::Parse(module, fault);
  if (!image) {
    verdict.problem = ModuleProblem(fault.reason, request.name, fault.message);
    return verdict;
  }
  if (image->is_program()) {
    verdict.problem =
        ModuleProblem("NotSharedObject", request.name,
                      "is a program, not a shared object: link it with -shared (add_library(NAME MODULE) or "
                      "mayfly_add_function in CMake)");
    return verdict;
  }
  verdict.problem = CheckModuleSymbol(*image, request.name);
  if (verdict.problem) return verdict;
  Scope scope(finder_, request);
  scope.AddProgram(worker_program_);
  verdict.problem = scope.AddModule(*image);
  if (!verdict.problem) verdict.problem = scope.CheckVersions();
  if (!verdict.problem) verdict.problem = scope.CheckSymbols();
  verdict.needs_origin = scope.needs_origin();
  return verdict;
}

}  // namespace mayfly::runtime
