// Answers "first", then "second", and returns 0 whatever the host said.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  reply_text(response, "first");
  reply_text(response, "second");
  return 0;
}

HOSTILE_MODULE(harm);
