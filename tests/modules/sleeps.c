// Sleeps for `?ms=N` (100), then answers with its process id.
#include "test_module.h"

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  sleep_milliseconds(query_number(event, "ms", 100));
  return reply_text(response, "%d", (int)getpid());
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
