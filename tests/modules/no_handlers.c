// Describes a module with no handler at all.
#include "mayfly/function.h"

const mayfly_module* mayfly_module_v1(const mayfly_host* host) {
  static const mayfly_module module = {sizeof(mayfly_module), MAYFLY_ABI_VERSION, 0, NULL};
  (void)host;
  return &module;
}
