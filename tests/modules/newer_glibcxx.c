// Needs a symbol of version GLIBCXX_3.4.99 from libstdc++.so.6.
#include "test_module.h"

extern int mayfly_test_future_cxx(void);

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "%d", mayfly_test_future_cxx());
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
