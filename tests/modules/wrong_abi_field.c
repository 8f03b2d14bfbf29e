// The right entry point, whose description says ABI version 99.
#include "test_module.h"

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "impossible");
}

static const mayfly_handler handler = {sizeof(mayfly_handler), "main", 0, 0, NULL, NULL, handle, NULL};
static const mayfly_handler* const all_handlers[] = {&handler};
static const mayfly_module module = {sizeof(mayfly_module), 99, 1, all_handlers};

const mayfly_module* mayfly_module_v1(const mayfly_host* given) {
  host = given;
  return &module;
}
