// Returns `?code=N` (5 if absent) without an answer.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  return (int)query_number(event, "code", 5);
}

HOSTILE_MODULE(harm);
