// A module that was linked without what defines one of its functions.
#include "mayfly/function.h"

namespace photos {
int Resize(int width, const char* name);
}

extern "C" const mayfly_module* mayfly_module_v1(const mayfly_host*) {
  static const mayfly_module module = {sizeof(module), MAYFLY_ABI_VERSION, 0, nullptr};
  return photos::Resize(1, "") == 0 ? &module : nullptr;
}
