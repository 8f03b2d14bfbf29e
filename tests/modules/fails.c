// Fails with a sentence: `?message=…` or "the disk of the moon is full".
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  return host->fail(response, text(query_text(event, "message", "the disk of the moon is full")));
}

HOSTILE_MODULE(harm);
