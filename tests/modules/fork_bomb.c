// Forks for ever, in every child too.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  for (;;) fork();
  return 0;
}

HOSTILE_MODULE(harm);
