// Starts a thread that lingers and uses the processor, then answers. `?threads=N` starts N, `?ms=N` waits before the answer.
#include <pthread.h>

#include "test_module.h"

static void* linger(void* unused) {
  for (volatile unsigned n = 0;; n++) {
  }
  return unused;
}

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  long wanted = query_number(event, "threads", 1);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  for (long n = 0; n < wanted; n++) {
    pthread_t thread;
    int error = pthread_create(&thread, &small, linger, NULL);
    if (error) return reply_text(response, "pthread_create failed after %ld: %s", n, strerror(error));
    pthread_detach(thread);
  }
  sleep_milliseconds(query_number(event, "ms", 0));
  return reply_text(response, "%ld threads", wanted);
}

HOSTILE_MODULE(harm);
