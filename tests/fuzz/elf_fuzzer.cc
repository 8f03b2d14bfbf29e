// Feeds the check that stands before every load with damaged modules. Seeds: any small .so.
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/loader/module_checker.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static mayfly::runtime::ModuleChecker checker("/proc/self/exe");
  checker.Check(std::as_bytes(std::span(data, size)), {"fuzzed.so", "", ""});
  return 0;
}
