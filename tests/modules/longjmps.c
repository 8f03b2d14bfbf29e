// Jumps out of handle, over frames that are not its own.
#include <setjmp.h>

#include "test_module.h"

static jmp_buf nowhere;

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  memset(&nowhere, 0x5a, sizeof(nowhere));
  longjmp(nowhere, 1);
}

HOSTILE_MODULE(harm);
