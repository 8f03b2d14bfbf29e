// Opens descriptors until it gets no more; answers how many and why it ended.
#include <errno.h>
#include <fcntl.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  long count = 0;
  while (dup(0) >= 0 || open("/dev/null", O_RDONLY) >= 0) count++;
  return reply_text(response, "%ld descriptors, then: %s", count, strerror(errno));
}

HOSTILE_MODULE(harm);
