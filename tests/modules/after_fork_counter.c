// Answers "create_pid=N pid=N after_fork=N handled=N": how often after_fork and handle ran in this process.
#include "test_module.h"

struct counters {
  int create_pid;
  int after_fork;
  int handled;
};

static int create(const mayfly_host* given, mayfly_str config, void** instance, mayfly_error* error) {
  (void)given, (void)config, (void)error;
  struct counters* counters = calloc(1, sizeof(*counters));
  counters->create_pid = (int)getpid();
  *instance = counters;
  return 0;
}

static int after_fork(void* instance, mayfly_error* error) {
  (void)error;
  ((struct counters*)instance)->after_fork++;
  return 0;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)event;
  struct counters* counters = instance;
  counters->handled++;
  return reply_text(response, "create_pid=%d pid=%d after_fork=%d handled=%d", counters->create_pid,
                    (int)getpid(), counters->after_fork, counters->handled);
}

static void destroy(void* instance) { free(instance); }

TEST_MODULE(create, after_fork, handle, destroy, 0);
