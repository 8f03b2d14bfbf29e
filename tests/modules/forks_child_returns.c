// Forks, and both processes answer and return.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  pid_t child = fork();
  return reply_text(response, child == 0 ? "child" : "parent");
}

HOSTILE_MODULE(harm);
