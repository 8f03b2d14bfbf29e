// Blocks and ignores every signal, then loops.
#include <signal.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
  for (volatile unsigned n = 0;; n++) {
  }
  return 0;
}

HOSTILE_MODULE(harm);
