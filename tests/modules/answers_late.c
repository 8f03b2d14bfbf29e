// Answers "first", and again from a thread `?ms=N` (100) milliseconds later, when another invocation may be running. With
// `started_by=after_fork` as config that thread is there from the start; else the handler starts it. `?sleep=N` only sleeps
// and answers "slept".
#include <pthread.h>
#include <stdatomic.h>

#include "test_module.h"

static char config[256];
static _Atomic(mayfly_response*) late;
static _Atomic long delay;

static void* answer(void* unused) {
  while (1) {
    mayfly_response* response;
    while (!(response = atomic_exchange(&late, NULL))) sleep_milliseconds(1);
    sleep_milliseconds(atomic_load(&delay));
    host->add_header(response, text("x-late"), text("yes"));
    host->reply(response, 200, text("text/plain"), "late", 4);
    host->fail(response, text("late"));
  }
  return unused;
}

static void start_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, answer, NULL) == 0) pthread_detach(thread);
}

static int create(const mayfly_host* given, mayfly_str text_of_config, void** instance, mayfly_error* error) {
  (void)given, (void)instance, (void)error;
  snprintf(config, sizeof(config), "%.*s", (int)text_of_config.size, text_of_config.data);
  return 0;
}

static int after_fork(void* instance, mayfly_error* error) {
  (void)instance, (void)error;
  if (strstr(config, "after_fork")) start_thread();
  return 0;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  long sleep = query_number(event, "sleep", 0);
  if (sleep) {
    sleep_milliseconds(sleep);
    return reply_text(response, "slept %d", (int)getpid());
  }
  if (asked_for_ok(event)) return reply_text(response, "ok");
  if (!strstr(config, "after_fork")) start_thread();
  atomic_store(&delay, query_number(event, "ms", 100));
  atomic_store(&late, response);
  return reply_text(response, "first %d", (int)getpid());
}

TEST_MODULE(create, after_fork, handle, NULL, 0);
