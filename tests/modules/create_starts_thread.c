// create() starts a thread. Answers "alive" if that thread lives in the process that serves, else "dead".
#include <pthread.h>

#include "test_module.h"

static volatile long ticks;

static void* tick(void* unused) {
  for (;;) {
    __atomic_add_fetch(&ticks, 1, __ATOMIC_SEQ_CST);
    sleep_milliseconds(1);
  }
  return unused;
}

static int create(const mayfly_host* given, mayfly_str config, void** instance, mayfly_error* error) {
  (void)given, (void)config, (void)instance, (void)error;
  pthread_t thread;
  return pthread_create(&thread, NULL, tick, NULL);
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  long before = __atomic_load_n(&ticks, __ATOMIC_SEQ_CST);
  for (int n = 0; n < 2000; n++) {
    if (__atomic_load_n(&ticks, __ATOMIC_SEQ_CST) != before) return reply_text(response, "alive");
    sleep_milliseconds(1);
  }
  return reply_text(response, "dead");
}

TEST_MODULE(create, NULL, handle, NULL, 0);
