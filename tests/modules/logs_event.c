// Logs "event TYPE SOURCE SUBJECT ID" and its body, and answers nothing. It fails while the body has "fail" in it.
#include "test_module.h"

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  char line[8000];
  const int head =
      snprintf(line, sizeof(line), "event %.*s %.*s %.*s %.*s ", (int)event->type.size, event->type.data,
               (int)event->source.size, event->source.data, (int)event->subject.size, event->subject.data,
               (int)event->id.size, event->id.data);
  size_t used = (size_t)head < sizeof(line) ? (size_t)head : sizeof(line) - 1;
  size_t body = event->body_size;
  if (body > sizeof(line) - used) body = sizeof(line) - used;
  memcpy(line + used, event->body, body);
  const mayfly_str all = {line, used + body};
  host->log(host, MAYFLY_INFO, all);
  if (memmem(line + used, body, "fail", 4) != NULL) return host->fail(response, text("the body says so"));
  return host->reply(response, 204, text(""), NULL, 0);
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
