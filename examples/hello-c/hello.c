/* Greets the body of a POST, or ?name=… (not decoded). */
#include <errno.h>
#include <mayfly/function.h>
#include <stdlib.h>
#include <string.h>

static const mayfly_host* host;

static mayfly_str text(const char* zero_terminated) {
  mayfly_str result = {zero_terminated, strlen(zero_terminated)};
  return result;
}

/* Whom to greet: points into the event. */
static mayfly_str name_in(const mayfly_event* event) {
  const char prefix[] = "name=";
  const size_t prefix_size = sizeof(prefix) - 1;
  if (event->query.size > prefix_size && memcmp(event->query.data, prefix, prefix_size) == 0) {
    mayfly_str name = {event->query.data + prefix_size, event->query.size - prefix_size};
    const char* end = memchr(name.data, '&', name.size);
    if (end != NULL) name.size = (size_t)(end - name.data);
    return name;
  }
  if (event->body_size > 0) {
    mayfly_str name = {event->body, event->body_size};
    return name;
  }
  return text("world");
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  const mayfly_str name = name_in(event);
  const size_t size = strlen("Hello, ") + name.size + strlen("!\n");
  char* greeting = malloc(size);
  if (greeting == NULL) return ENOMEM;
  memcpy(greeting, "Hello, ", 7);
  memcpy(greeting + 7, name.data, name.size);
  memcpy(greeting + 7 + name.size, "!\n", 2);
  const int error = host->reply(response, 200, text("text/plain; charset=utf-8"), greeting, size);
  free(greeting);
  return error;
}

static const mayfly_handler hello = {.size = sizeof(mayfly_handler), .name = "hello", .handle = handle};
static const mayfly_handler* const handlers[] = {&hello};
static const mayfly_module module = {.size = sizeof(mayfly_module),
                                     .abi_version = MAYFLY_ABI_VERSION,
                                     .handler_count = 1,
                                     .handlers = handlers};

const mayfly_module* mayfly_module_v1(const mayfly_host* given) {
  host = given;
  return &module;
}
