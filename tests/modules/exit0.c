// Ends its process as if all were well. `?how=_exit` leaves out the exit handlers.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  if (strcmp(query_text(event, "how", ""), "_exit") == 0) _exit(0);
  exit(0);
}

HOSTILE_MODULE(harm);
