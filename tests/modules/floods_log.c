// Writes `?lines=N` (100,000 if absent) lines of 1 KiB to standard output, standard error and the log.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  long lines = query_number(event, "lines", 100000);
  char line[1024];
  memset(line, 0x78, sizeof(line));
  line[1023] = 0x0a;
  for (long n = 0; n < lines; n++) {
    if (write(1, line, sizeof(line)) < 0 && write(2, line, sizeof(line)) < 0) continue;
    mayfly_str logged = {line, sizeof(line)};
    host->log(host, MAYFLY_INFO, logged);
  }
  return reply_text(response, "%ld lines", lines);
}

HOSTILE_MODULE(harm);
