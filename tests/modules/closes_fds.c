// Closes every descriptor that its process has, then answers.
#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  for (int fd = 0; fd < 4096; fd++) close(fd);
  return reply_text(response, "closed");
}

HOSTILE_MODULE(harm);
