// Leaves a file of `?mb=N` (1) MB in its temporary folder, waits `?ms=N` (0) and answers with its path.
#include <errno.h>
#include <fcntl.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  char path[600];
  snprintf(path, sizeof(path), "%s/left-XXXXXX", getenv("TMPDIR"));
  int fd = mkstemp(path);
  if (fd < 0) return reply_text(response, "mkstemp failed: %s", strerror(errno));
  static char block[1 << 20];
  for (long n = 0; n < query_number(event, "mb", 1); n++) {
    if (write(fd, block, sizeof(block)) < 0) return reply_text(response, "write failed: %s", strerror(errno));
  }
  close(fd);
  sleep_milliseconds(query_number(event, "ms", 0));
  return reply_text(response, "%s", path);
}

HOSTILE_MODULE(harm);
