// Says MAYFLY_NO_FORK. Answers "create_pid=N pid=N": equal, because each process ran create for itself.
#include "test_module.h"

static int create(const mayfly_host* given, mayfly_str config, void** instance, mayfly_error* error) {
  (void)given, (void)config, (void)error;
  *instance = (void*)(size_t)getpid();
  return 0;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)event;
  return reply_text(response, "create_pid=%d pid=%d", (int)(size_t)instance, (int)getpid());
}

TEST_MODULE(create, NULL, handle, NULL, MAYFLY_NO_FORK);
