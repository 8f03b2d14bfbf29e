// Writes a file of `?mb=N` MB (100 if absent) into `?dir=…` (/tmp if absent); answers what it could.
#include <errno.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  char path[600];
  snprintf(path, sizeof(path), "%s/mayfly-test-XXXXXX", query_text(event, "dir", "/tmp"));
  int fd = mkstemp(path);
  if (fd < 0) return reply_text(response, "mkstemp failed: %s", strerror(errno));
  unlink(path);
  static char block[1 << 20];
  long wanted = query_number(event, "mb", 100);
  for (long n = 0; n < wanted; n++) {
    if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
      return reply_text(response, "stopped after %ld MB: %s", n, strerror(errno));
  }
  return reply_text(response, "%ld MB", wanted);
}

HOSTILE_MODULE(harm);
