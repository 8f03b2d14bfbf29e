// Forks a child that lingers, then answers with the child's process id.
#include <errno.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  pid_t child = fork();
  if (child == 0) {
    sleep_milliseconds(query_number(event, "ms", 600000));
    _exit(0);
  }
  if (child < 0) return reply_text(response, "fork failed: %s", strerror(errno));
  return reply_text(response, "%d", (int)child);
}

HOSTILE_MODULE(harm);
