// Writes to address 0x10.
#include "test_module.h"

static volatile int* volatile nowhere = (int*)0x10;

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  *nowhere = 1;
  return 0;
}

HOSTILE_MODULE(harm);
