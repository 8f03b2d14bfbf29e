// Does what the body says: "segv" crashes, "loop" never ends, "fork" leaves a child behind, "sleep" takes 200 ms; all else
// is answered at once. Answers with the body.
#include <signal.h>
#include <string.h>

#include "test_module.h"

static int is(const mayfly_event* event, const char* what) {
  return event->body_size == strlen(what) && memcmp(event->body, what, event->body_size) == 0;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  if (is(event, "segv")) raise(SIGSEGV);
  while (is(event, "loop")) sleep_milliseconds(1);
  if (is(event, "sleep")) sleep_milliseconds(200);
  if (is(event, "fork") && fork() == 0) {
    sleep_milliseconds(600000);
    _exit(0);
  }
  return host->reply(response, 200, text("text/plain"), event->body, event->body_size);
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
