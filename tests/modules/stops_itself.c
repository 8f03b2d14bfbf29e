// Sends itself SIGSTOP (`?signal=N` another one), then answers.
#include <signal.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  kill(getpid(), (int)query_number(event, "signal", SIGSTOP));
  return reply_text(response, "went on");
}

HOSTILE_MODULE(harm);
