// Two handlers, "first" and "second", each of which answers its name.
#include "test_module.h"

static int first(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "first");
}

static int second(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "second");
}

static const mayfly_handler handlers[] = {
    {sizeof(mayfly_handler), "first", 0, 0, NULL, NULL, first, NULL},
    {sizeof(mayfly_handler), "second", 0, 0, NULL, NULL, second, NULL},
};
static const mayfly_handler* const all_handlers[] = {&handlers[0], &handlers[1]};
static const mayfly_module module = {sizeof(mayfly_module), MAYFLY_ABI_VERSION, 2, all_handlers};

const mayfly_module* mayfly_module_v1(const mayfly_host* given) {
  host = given;
  return &module;
}
