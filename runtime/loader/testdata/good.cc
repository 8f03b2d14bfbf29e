// A module that loads: C++, with undefined symbols of libstdc++ and libc.
#include <string>

#include "mayfly/function.h"

extern "C" const mayfly_module* mayfly_module_v1(const mayfly_host*) {
  static std::string name = std::to_string(sizeof(mayfly_module));
  static const mayfly_module module = {sizeof(module), MAYFLY_ABI_VERSION, 0, nullptr};
  return name.empty() ? nullptr : &module;
}
