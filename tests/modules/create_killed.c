// create() has its own process killed with SIGKILL, as anyone else might have done.
#include <signal.h>

#include "test_module.h"

static int create(const mayfly_host* given, mayfly_str config, void** instance, mayfly_error* error) {
  (void)given, (void)config, (void)instance, (void)error;
  return raise(SIGKILL);
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "impossible");
}

TEST_MODULE(create, NULL, handle, NULL, 0);
