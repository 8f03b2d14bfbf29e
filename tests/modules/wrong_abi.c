// Exports the entry point of a version that does not exist yet, and not the present one.
#include "mayfly/function.h"

MAYFLY_EXPORT const mayfly_module* mayfly_module_v2(const mayfly_host* host);

const mayfly_module* mayfly_module_v2(const mayfly_host* host) {
  (void)host;
  return NULL;
}
