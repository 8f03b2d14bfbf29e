// Answers with `?size=N` (1 MiB) bytes in one reply; byte k is 'a' + k % 26.
#include "test_module.h"

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  size_t size = (size_t)query_number(event, "size", 1 << 20);
  char* body = malloc(size ? size : 1);
  for (size_t k = 0; k < size; k++) body[k] = (char)('a' + k % 26);
  int error = host->reply(response, 200, text("application/octet-stream"), body, size);
  free(body);
  return error;
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
