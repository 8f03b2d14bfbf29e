// Needs libmayfly-absent.so.1, which is on no machine.
#include "test_module.h"

extern int mayfly_test_absent(void);

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "%d", mayfly_test_absent());
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
