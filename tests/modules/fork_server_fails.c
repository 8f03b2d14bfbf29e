// create() does what the config names to the process that workers are forked from: "hog" uses up its descriptors, "atfork" has
// fork() hang, "garbage" writes into its socket to the runtime.
#include <pthread.h>

#include "test_module.h"

static void hang(void) {
  while (1) pause();
}

static int create(const mayfly_host* given, mayfly_str text_of_config, void** instance, mayfly_error* error) {
  (void)given, (void)instance, (void)error;
  char config[256];
  snprintf(config, sizeof(config), "%.*s", (int)text_of_config.size, text_of_config.data);
  if (strstr(config, "hog")) {
    while (dup(1) >= 0) {
    }
  }
  if (strstr(config, "atfork")) pthread_atfork(hang, NULL, NULL);
  if (strstr(config, "garbage")) {
    for (int fd = 3; fd < 1024; fd++) {
      if (write(fd, "x", 1) < 0) continue;
    }
    sleep_milliseconds(5000);
  }
  return 0;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event;
  return reply_text(response, "ok");
}

TEST_MODULE(create, NULL, handle, NULL, 0);
