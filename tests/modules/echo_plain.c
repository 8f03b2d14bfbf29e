// Answers with the body and content type that came, and one header, "x-test: 1".
#include "test_module.h"

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  int error = host->add_header(response, text("x-test"), text("1"));
  if (error) return error;
  return host->reply(response, 200, event->data_content_type, event->body, event->body_size);
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
