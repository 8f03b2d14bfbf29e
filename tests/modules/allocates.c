// Allocates and touches memory without bound, or `?mb=N`, then answers how many MB it got. `?fork=N`: after it
// has forked N children that do nothing for `?ms=M` (300), and waited for them.
#include <sys/wait.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  long limit = query_number(event, "mb", -1);
  long got = 0;
  while (got != limit) {
    char* block = malloc(1 << 20);
    if (!block) return reply_text(response, "malloc failed after %ld MB", got);
    memset(block, (int)got + 1, 1 << 20);
    *(char* volatile*)block = block;
    got++;
  }
  for (long n = 0; n < query_number(event, "fork", 0); n++) {
    if (fork() != 0) continue;
    sleep_milliseconds(query_number(event, "ms", 300));
    _exit(0);
  }
  while (wait(NULL) > 0) {
  }
  return reply_text(response, "%ld MB", got);
}

HOSTILE_MODULE(harm);
