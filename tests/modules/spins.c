// Uses `?ms=N` (100) milliseconds of processor time, then answers how many it measured.
#include "test_module.h"

static long cpu_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  long begin = cpu_milliseconds();
  long wanted = query_number(event, "ms", 100);
  while (cpu_milliseconds() - begin < wanted) {
    for (volatile int n = 0; n < 10000; n++) {
    }
  }
  return reply_text(response, "%ld", cpu_milliseconds() - begin);
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
