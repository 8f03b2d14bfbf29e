// Recurses until the stack is used up; `?thread`: that of a thread.
#include <pthread.h>

#include "test_module.h"

#pragma GCC diagnostic ignored "-Winfinite-recursion"

__attribute__((noinline)) static int deeper(int depth, const volatile char* above) {
  volatile char frame[1024];
  frame[0] = above[0];
  frame[1023] = (char)depth;
  return deeper(depth + 1, frame) + frame[1023];
}

static void* overflow(void* start) {
  deeper(0, (const volatile char*)start);
  return NULL;
}

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)response;
  if (query_text(event, "thread", NULL)) {
    static char start;
    pthread_t thread;
    if (pthread_create(&thread, NULL, overflow, &start) == 0) pthread_join(thread, NULL);
  }
  return deeper(0, (const volatile char*)event) & 1;
}

HOSTILE_MODULE(harm);
