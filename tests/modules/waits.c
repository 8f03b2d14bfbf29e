// Does what the body says: "segv" crashes, "loop" never ends, "fork" leaves a child behind, "sleep" takes 200 ms, "trash"
// writes over the header of its channel and "trash all" over the whole, "mark" says of what waits behind it that it was begun and
// crashes; all else is answered at once. Answers with the body.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "test_module.h"

static int is(const mayfly_event* event, const char* what) {
  return event->body_size == strlen(what) && memcmp(event->body, what, event->body_size) == 0;
}

static char* channel;
static size_t channel_size;

static int find_channel(void* instance, mayfly_error* error) {
  (void)instance, (void)error;
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[1024];
  while (maps && fgets(line, sizeof(line), maps)) {
    unsigned long from, to;
    if (channel || !strstr(line, "rw-s") || !strstr(line, "mayfly-channel")) continue;
    if (sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
    channel = (char*)from;
    channel_size = to - from;
  }
  if (maps) fclose(maps);
  return 0;
}

// Until others wait, and before they are taken back.
static void wait_a_little(void) {
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - begin.tv_sec) * 1000000000L + now.tv_nsec - begin.tv_nsec < 150000);
}

static void mark_those_behind(void) {
  // See runtime/ipc/layout.h: `armed`, then a word for each call; state 1 is offered, 2 is taken.
  volatile unsigned* words = (volatile unsigned*)(channel + 64) + 1;
  for (int n = 0; n < 8; n++) {
    if ((words[n] & 3) == 1) words[n] = (words[n] & ~3u) | 2;
  }
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
  if (is(event, "trash") || is(event, "trash all") || is(event, "mark")) wait_a_little();
  if (is(event, "trash")) memset(channel, 0xff, 4096);
  if (is(event, "trash all")) memset(channel, 0xff, channel_size);
  if (is(event, "mark")) {
    mark_those_behind();
    raise(SIGSEGV);
  }
  return host->reply(response, 200, text("text/plain"), event->body, event->body_size);
}

TEST_MODULE(NULL, find_channel, handle, NULL, 0);
