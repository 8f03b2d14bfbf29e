// Fails with a sentence: `?message=…` or "the disk of the moon is full"; with `?begun=1` after a part of an answer.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  if (query_number(event, "begun", 0) != 0) {
    int error = host->begin(response, 200, text("text/plain"));
    if (!error) error = host->write(response, "part", 4);
    if (error) return error;
  }
  return host->fail(response, text(query_text(event, "message", "the disk of the moon is full")));
}

HOSTILE_MODULE(harm);
