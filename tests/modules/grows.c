// Takes memory where it is easily overlooked. `?children=N&mb=M`: N children touch M MB each and end, unless stopped, after
// `?ms=N` (3000), when it answers. `?later&mb=M`: answers with its process id, and a thread that after_fork() started then
// touches M MB of shared memory.
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "test_module.h"

static _Atomic long later;

static void touch(long mb, int sharing) {
  size_t size = (size_t)mb << 20;
  void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) memset(memory, 1, size);
}

static void* wait_and_touch(void* unused) {
  while (!atomic_load(&later)) sleep_milliseconds(1);
  touch(atomic_load(&later), MAP_SHARED);
  while (1) pause();
  return unused;
}

static int after_fork(void* instance, mayfly_error* error) {
  (void)instance, (void)error;
  pthread_t thread;
  if (pthread_create(&thread, NULL, wait_and_touch, NULL) == 0) pthread_detach(thread);
  return 0;
}

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  if (asked_for_ok(event)) return reply_text(response, "ok");
  long mb = query_number(event, "mb", 50);
  if (query_text(event, "later", NULL)) {
    atomic_store(&later, mb);
    return reply_text(response, "%d", (int)getpid());
  }
  long children = query_number(event, "children", 4);
  for (long n = 0; n < children; n++) {
    if (fork() != 0) continue;
    touch(mb, MAP_PRIVATE);
    sleep_milliseconds(query_number(event, "ms", 3000));
    _exit(0);
  }
  while (wait(NULL) > 0) {
  }
  return reply_text(response, "%ld children", children);
}

TEST_MODULE(NULL, after_fork, harm, NULL, 0);
