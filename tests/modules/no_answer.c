// Returns 0 without an answer. `?how=begun` begins a streamed one and does not end it.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  if (strcmp(query_text(event, "how", ""), "begun") == 0) {
    host->begin(response, 200, text("text/plain"));
    host->write(response, "half", 4);
  }
  return 0;
}

HOSTILE_MODULE(harm);
