// Its entry point returns null; no handler could be called.
#include "mayfly/function.h"

const mayfly_module* mayfly_module_v1(const mayfly_host* host) {
  (void)host;
  return NULL;
}
