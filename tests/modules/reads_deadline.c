// Answers how many milliseconds are left until its deadline.
#include "test_module.h"

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  long long now_ns = now.tv_sec * 1000000000ll + now.tv_nsec;
  return reply_text(response, "%lld", ((long long)event->deadline_ns - now_ns) / 1000000);
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
