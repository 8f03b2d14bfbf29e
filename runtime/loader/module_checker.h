// A ModuleChecker says, before anything is mapped, whether a module will load in a worker, and if not, why,
// in a sentence that the person who built it can act on.
//
// It follows ld.so: finds the needed libraries breadth-first, compares the versions asked for with those
// defined, and looks every undefined symbol up in the worker's own libraries and the module's. It cannot see
// what constructors or create() do.
//
// Not thread-safe: one check at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "mayfly/v1/runtime.pb.h"
#include "runtime/loader/library_finder.h"

namespace mayfly::runtime {

struct CheckRequest {
  std::string name;          // of the module, as its owner knows it; begins the sentence
  std::string origin;        // the folder that $ORIGIN stands for; "" if there is none
  std::string library_path;  // the workers' LD_LIBRARY_PATH
};

struct CheckVerdict {
  // Set if the module cannot run. Reasons: those of ElfFault, and NotSharedObject, NoModuleSymbol,
  // AbiMismatch, MissingLibrary, NewerGlibc, NewerLibstdcxx, MissingVersion, MissingSymbol, TooComplex.
  std::optional<v1::Problem> problem;
  // Whether libraries beside the module are needed: it must then be loaded from where it lies.
  bool needs_origin = false;
};

class ModuleChecker {
 public:
  // Modules are loaded into `worker_program`, whose libraries come first. If it cannot be read, they are not
  // known and only the module's own are searched.
  explicit ModuleChecker(std::string worker_program) : worker_program_(std::move(worker_program)) {}

  // `module` must not change during the call.
  CheckVerdict Check(std::span<const std::byte> module, const CheckRequest& request);

 private:
  const std::string worker_program_;
  LibraryFinder finder_;
};

// A problem with component "runtime" and the message "`name` `sentence`".
v1::Problem ModuleProblem(std::string_view reason, std::string_view name, std::string_view sentence);

}  // namespace mayfly::runtime
