// Tells why it fails in text that is no UTF-8: from create() or after_fork() if the config names it ("create", "after_fork"),
// else from handle(). `long` in the config or the query: 6,001 bytes of UTF-8 in which a cut at an even number is in the
// middle of a character.
#include <errno.h>

#include "test_module.h"

static char config[256];

static mayfly_str sentence(int is_long) {
  static char accents[6001];
  if (!is_long) {
    mayfly_str latin1 = {"caf\xe9", 4};
    return latin1;
  }
  accents[0] = 'x';
  for (int n = 1; n < 6001; n += 2) memcpy(accents + n, "\xc3\xa9", 2);
  mayfly_str result = {accents, sizeof(accents)};
  return result;
}

static int create(const mayfly_host* given, mayfly_str text_of_config, void** instance, mayfly_error* error) {
  (void)instance;
  snprintf(config, sizeof(config), "%.*s", (int)text_of_config.size, text_of_config.data);
  if (!strstr(config, "create")) return 0;
  given->set_error(error, sentence(strstr(config, "long") != NULL));
  return EIO;
}

static int after_fork(void* instance, mayfly_error* error) {
  (void)instance;
  if (!strstr(config, "after_fork")) return 0;
  host->set_error(error, sentence(strstr(config, "long") != NULL));
  return EIO;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  if (asked_for_ok(event)) return reply_text(response, "ok");
  return host->fail(response, sentence(query_text(event, "long", NULL) != NULL));
}

TEST_MODULE(create, after_fork, handle, NULL, 0);
