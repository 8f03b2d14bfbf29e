// after_fork() fails with a sentence.
#include <errno.h>

#include "test_module.h"

static int after_fork(void* instance, mayfly_error* error) {
  (void)instance;
  host->set_error(error, text("no connection for this worker"));
  return EIO;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "impossible");
}

TEST_MODULE(NULL, after_fork, handle, NULL, 0);
