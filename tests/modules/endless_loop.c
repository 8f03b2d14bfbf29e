// Never returns, and uses its processor all the while.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  for (volatile unsigned n = 0;; n++) {
  }
  return 0;
}

HOSTILE_MODULE(harm);
