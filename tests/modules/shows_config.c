// Answers with the config that create() got, and with the environment variable that `?env=NAME` names.
#include "test_module.h"

static int create(const mayfly_host* given, mayfly_str config, void** instance, mayfly_error* error) {
  (void)given, (void)error;
  char* copy = malloc(config.size + 1);
  memcpy(copy, config.data, config.size);
  copy[config.size] = 0;
  *instance = copy;
  return 0;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  const char* variable = query_text(event, "env", NULL);
  if (!variable) return reply_text(response, "%s", (const char*)instance);
  const char* value = getenv(variable);
  return reply_text(response, "%s", value ? value : "(unset)");
}

static void destroy(void* instance) { free(instance); }

TEST_MODULE(create, NULL, handle, destroy, 0);
