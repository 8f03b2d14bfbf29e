// Answers with everything the event holds, one field a line: "name=value", pairs as "headers.name=value".
#include "test_module.h"

static char out[60000];
static size_t used;

static void line(const char* group, mayfly_str name, mayfly_str value) {
  int size = snprintf(out + used, sizeof(out) - used, "%s%.*s=%.*s\n", group, (int)name.size, name.data,
                      (int)value.size, value.data);
  if (size > 0 && (size_t)size < sizeof(out) - used) used += (size_t)size;
}

static void pairs(const char* group, const mayfly_pair* from, size_t count) {
  for (size_t n = 0; n < count; n++) line(group, from[n].name, from[n].value);
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  used = 0;
  char number[32];
  line("", text("invocation_id"), event->invocation_id);
  snprintf(number, sizeof(number), "%u", event->attempt);
  line("", text("attempt"), text(number));
  line("", text("is_http"), text(event->is_http ? "1" : "0"));
  line("", text("id"), event->id);
  line("", text("source"), event->source);
  line("", text("type"), event->type);
  line("", text("subject"), event->subject);
  line("", text("time"), event->time);
  line("", text("data_content_type"), event->data_content_type);
  pairs("attributes.", event->attributes, event->attribute_count);
  line("", text("method"), event->method);
  line("", text("path"), event->path);
  line("", text("query"), event->query);
  pairs("headers.", event->headers, event->header_count);
  pairs("parameters.", event->parameters, event->parameter_count);
  snprintf(number, sizeof(number), "%zu", event->body_size);
  line("", text("body_size"), text(number));
  return host->reply(response, 200, text("text/plain"), out, used);
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
