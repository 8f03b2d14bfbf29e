// Calls abort().
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  abort();
}

HOSTILE_MODULE(harm);
