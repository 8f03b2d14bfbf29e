// Streams `?chunks=N` (3) chunks of `?size=N` (10) bytes, `?ms=N` (0) apart; byte k of the whole is 'a' + k
// % 26.
#include "test_module.h"

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  long chunks = query_number(event, "chunks", 3);
  size_t size = (size_t)query_number(event, "size", 10);
  long pause = query_number(event, "ms", 0);
  int error = host->add_header(response, text("x-test"), text("stream"));
  if (!error) error = host->begin(response, 200, text("text/plain"));
  char* chunk = malloc(size ? size : 1);
  size_t at = 0;
  for (long n = 0; !error && n < chunks; n++) {
    for (size_t k = 0; k < size; k++) chunk[k] = (char)('a' + at++ % 26);
    error = host->write(response, chunk, size);
    if (pause) sleep_milliseconds(pause);
  }
  free(chunk);
  if (!error) error = host->end(response);
  return error;
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
