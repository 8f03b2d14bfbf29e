// Recurses until the stack is used up.
#include "test_module.h"

__attribute__((noinline)) static int deeper(int depth, const volatile char* above) {
  volatile char frame[1024];
  frame[0] = above[0];
  frame[1023] = (char)depth;
  return deeper(depth + 1, frame) + frame[1023];
}

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  return deeper(0, (const volatile char*)event) & 1;
}

HOSTILE_MODULE(harm);
