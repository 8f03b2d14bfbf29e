/* Answers with a greeting for the body of a POST, or for the world. */
#include <mayfly/function.h>
#include <stdio.h>
#include <string.h>

static const mayfly_host* host;

static mayfly_str str(const char* text) {
  mayfly_str result = {text, strlen(text)};
  return result;
}

static int greet(void* instance, const mayfly_event* event, mayfly_response* response) {
  char text[256];
  (void)instance;
  if (event->body_size == 0) {
    snprintf(text, sizeof text, "Hello, world!\n");
  } else {
    snprintf(text, sizeof text, "Hello, %.*s!\n", event->body_size < 200 ? (int)event->body_size : 200,
             (const char*)event->body);
  }
  host->log(host, MAYFLY_INFO, str("greeting"));
  return host->reply(response, 200, str("text/plain; charset=utf-8"), text, strlen(text));
}

static const mayfly_handler handler = {
    .size = sizeof(mayfly_handler),
    .name = "@NAME@",
    .handle = greet,
};
static const mayfly_handler* const handlers[] = {&handler};
static const mayfly_module module = {
    .size = sizeof(mayfly_module),
    .abi_version = MAYFLY_ABI_VERSION,
    .handler_count = 1,
    .handlers = handlers,
};

const mayfly_module* mayfly_module_v1(const mayfly_host* mayfly) {
  host = mayfly;
  return &module;
}
