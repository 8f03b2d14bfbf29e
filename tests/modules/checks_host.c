// Calls the host's functions wrongly and answers what each returned: "name=EINVAL" a line, "0" for success.
#include <errno.h>

#include "test_module.h"

static char out[4096];

static void note(const char* what, int error) {
  size_t used = strlen(out);
  snprintf(out + used, sizeof(out) - used, "%s=%s\n", what, error ? strerrorname_np(error) : "0");
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  out[0] = 0;
  static char large[40000];
  memset(large, 'x', sizeof(large));
  mayfly_str large_value = {large, sizeof(large)};
  note("header_with_newline", host->add_header(response, text("x-a"), text("1\r\nx-b: 2")));
  note("header_with_space", host->add_header(response, text("x a"), text("1")));
  note("header_without_name", host->add_header(response, text(""), text("1")));
  note("header_too_large", host->add_header(response, text("x-large"), large_value));
  note("status_99", host->reply(response, 99, text("text/plain"), "", 0));
  note("status_600", host->reply(response, 600, text("text/plain"), "", 0));
  note("content_type_with_newline", host->reply(response, 200, text("text/plain\r\nx: y"), "", 0));
  note("write_before_begin", host->write(response, "x", 1));
  note("end_before_begin", host->end(response));
  note("begin", host->begin(response, 200, text("text/plain")));
  note("header_after_begin", host->add_header(response, text("x-late"), text("1")));
  int error = host->write(response, out, strlen(out));
  if (!error) error = host->end(response);
  return error;
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
