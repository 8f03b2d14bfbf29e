// Starts a thread that lingers and uses the processor, then answers. `?threads=N` starts N, `?ms=N` waits before the answer.
// `?join` starts one that ends at once, waits for it and answers with the process id.
#include <pthread.h>

#include "test_module.h"

static void* linger(void* unused) {
  for (volatile unsigned n = 0;; n++) {
  }
  return unused;
}

static void* end(void* argument) { return argument; }

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  if (query_text(event, "join", NULL)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, end, NULL) == 0) pthread_join(thread, NULL);
    return reply_text(response, "%d", (int)getpid());
  }
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
