// Leaves a daemon behind: double fork, setsid, signals ignored. Answers with its process id.
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "test_module.h"

static int harm(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance, (void)event, (void)response;
  int ends[2];
  if (pipe(ends) != 0) return reply_text(response, "pipe failed: %s", strerror(errno));
  pid_t child = fork();
  if (child < 0) return reply_text(response, "fork failed: %s", strerror(errno));
  if (child == 0) {
    setsid();
    pid_t daemon_pid = fork();
    if (daemon_pid != 0) {
      if (write(ends[1], &daemon_pid, sizeof(daemon_pid)) < 0) _exit(1);
      _exit(0);
    }
    for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
    for (int fd = 0; fd < 256; fd++) close(fd);
    sleep_milliseconds(600000);
    _exit(0);
  }
  pid_t escaped = 0;
  close(ends[1]);
  if (read(ends[0], &escaped, sizeof(escaped)) != sizeof(escaped)) escaped = -1;
  close(ends[0]);
  waitpid(child, NULL, 0);
  return reply_text(response, "%d", (int)escaped);
}

HOSTILE_MODULE(harm);
