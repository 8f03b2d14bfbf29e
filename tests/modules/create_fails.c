// create() fails with a sentence: config {"message": "…"} is not parsed; the sentence tells the config's
// size.
#include <errno.h>

#include "test_module.h"

static int create(const mayfly_host* given, mayfly_str config, void** instance, mayfly_error* error) {
  (void)instance;
  char sentence[128];
  snprintf(sentence, sizeof(sentence), "no licence for this model (config of %zu bytes)", config.size);
  given->set_error(error, text(sentence));
  return EACCES;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "impossible");
}

TEST_MODULE(create, NULL, handle, NULL, 0);
