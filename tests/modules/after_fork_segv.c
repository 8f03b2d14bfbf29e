// after_fork() crashes.
#include "test_module.h"

static int after_fork(void* instance, mayfly_error* error) {
  (void)instance, (void)error;
  *(volatile int*)0 = 1;
  return 0;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "impossible");
}

TEST_MODULE(NULL, after_fork, handle, NULL, 0);
