// Answers with the body that came, after `?ms=N` (0) milliseconds.
#include "test_module.h"

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  sleep_milliseconds(query_number(event, "ms", 0));
  return host->reply(response, 200, text("text/plain"), event->body, event->body_size);
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
