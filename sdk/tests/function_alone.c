/* The C header first and alone. */
#include "mayfly/function.h"

const mayfly_module* mayfly_module_v1(const mayfly_host* host) {
  return MAYFLY_HAS(host, set_error) ? NULL : NULL;
}
