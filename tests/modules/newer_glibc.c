// Needs a symbol of version GLIBC_2.99 from libc.so.6.
#include "test_module.h"

extern int mayfly_test_future(void);

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "%d", mayfly_test_future());
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
