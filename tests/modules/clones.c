// Leaves a child behind that was made without an exit signal, so that a plain wait does not see it; answers with its process id.
#include <errno.h>
#include <sys/syscall.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  long child = syscall(SYS_clone, 0, 0, 0, 0, 0);
  if (child == 0) {
    while (1) pause();
  }
  if (child < 0) return reply_text(response, "clone failed: %s", strerror(errno));
  return reply_text(response, "%ld", child);
}

HOSTILE_MODULE(harm);
