// Overwrites every page that it can write within `?mb=N` MB (8 if absent) before and after the body, and
// every shared mapping of its process: the channel to the runtime among them. Faults are skipped. Then it
// answers.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

#include "test_module.h"

static sigjmp_buf next_page;

static void skip(int number) {
  (void)number;
  siglongjmp(next_page, 1);
}

static volatile long pages;

static void scribble(uintptr_t from, uintptr_t to) {
  for (volatile uintptr_t page = from & ~(uintptr_t)4095; page < to; page += 4096) {
    if (sigsetjmp(next_page, 1) == 0) {
      for (unsigned n = 0; n < 4096; n++) ((volatile unsigned char*)page)[n] = 0xff;
      pages++;
    }
  }
}

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  static char alternate_stack[65536];
  stack_t stack = {.ss_sp = alternate_stack, .ss_size = sizeof(alternate_stack)};
  sigaltstack(&stack, NULL);
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = skip;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);

  uintptr_t reach = (uintptr_t)query_number(event, "mb", 8) << 20;
  const void* near = event->body_size ? event->body : (const void*)event->query.data;
  FILE* maps = fopen("/proc/self/maps", "r");
  static uintptr_t shared[64][2];
  unsigned count = 0;
  if (maps) {
    static char line[1024];
    while (count < 64 && fgets(line, sizeof(line), maps)) {
      unsigned long from, to;
      char mode[5];
      if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3 && mode[1] == 'w' && mode[3] == 's') {
        shared[count][0] = from;
        shared[count++][1] = to;
      }
    }
    fclose(maps);
  }
  for (unsigned n = 0; n < count; n++) scribble(shared[n][0], shared[n][1]);
  if (near) scribble((uintptr_t)near - reach, (uintptr_t)near + reach);
  return reply_text(response, "overwrote %ld pages", pages);
}

HOSTILE_MODULE(harm);
