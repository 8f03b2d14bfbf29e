// Calls a function that no library has.
#include "test_module.h"

extern int mayfly_test_symbol_that_nobody_defines(void);

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "%d", mayfly_test_symbol_that_nobody_defines());
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
