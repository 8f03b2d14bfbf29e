// What the modules of this folder share: a module of one handler in a line, and the query's parameters.
//
// A hostile handler does its harm unless the query says "ok": then it answers "ok", so that a test can see
// that the function serves the next request.
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mayfly/function.h"

static const mayfly_host* host;

static inline mayfly_str text(const char* zero_terminated) {
  mayfly_str result = {zero_terminated, strlen(zero_terminated)};
  return result;
}

// Answers 200 with a formatted text of at most 64 KiB.
__attribute__((format(printf, 2, 3))) static inline int reply_text(mayfly_response* response,
                                                                   const char* format, ...) {
  static char buffer[65536];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(buffer, sizeof(buffer), format, arguments);
  va_end(arguments);
  if (size < 0) size = 0;
  if (size >= (int)sizeof(buffer)) size = (int)sizeof(buffer) - 1;
  return host->reply(response, 200, text("text/plain"), buffer, (size_t)size);
}

// The value of `name` in "a=1&b=2" as text, "" if it has none, `fallback` if it is not there. Not decoded.
static inline const char* query_text(const mayfly_event* event, const char* name, const char* fallback) {
  static char values[8][512];
  static unsigned next;
  char* value = values[next++ % 8];
  const char* at = event->query.data;
  const char* end = at + event->query.size;
  size_t name_size = strlen(name);
  while (at && at < end) {
    const char* stop = (const char*)memchr(at, '&', (size_t)(end - at));
    if (!stop) stop = end;
    const char* equals = (const char*)memchr(at, '=', (size_t)(stop - at));
    const char* name_end = equals ? equals : stop;
    if ((size_t)(name_end - at) == name_size && memcmp(at, name, name_size) == 0) {
      const char* from = equals ? equals + 1 : stop;
      size_t size = (size_t)(stop - from);
      if (size > 511) size = 511;
      memcpy(value, from, size);
      value[size] = 0;
      return value;
    }
    at = stop + 1;
  }
  return fallback;
}

static inline long query_number(const mayfly_event* event, const char* name, long fallback) {
  const char* value = query_text(event, name, NULL);
  return value ? strtol(value, NULL, 10) : fallback;
}

static inline int asked_for_ok(const mayfly_event* event) { return query_text(event, "ok", NULL) != NULL; }

static inline void sleep_milliseconds(long milliseconds) {
  struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  while (nanosleep(&pause, &pause) != 0) {
  }
}

// TEST_MODULE(create, after_fork, handle, destroy, flags): a module whose one handler is called "main".
#define TEST_MODULE(create, after_fork, handle, destroy, flags)                                     \
  static const mayfly_handler main_handler = {                                                      \
      sizeof(mayfly_handler), "main", flags, 0, create, after_fork, handle, destroy};               \
  static const mayfly_handler* const all_handlers[] = {&main_handler};                              \
  static const mayfly_module module = {sizeof(mayfly_module), MAYFLY_ABI_VERSION, 1, all_handlers}; \
  const mayfly_module* mayfly_module_v1(const mayfly_host* given) {                                 \
    host = given;                                                                                   \
    return &module;                                                                                 \
  }                                                                                                 \
  typedef int test_module_takes_a_semicolon

// HOSTILE_MODULE(harm): calls `harm` unless the query says "ok".
#define HOSTILE_MODULE(harm)                                                                    \
  static int ok_or_harm(void* instance, const mayfly_event* event, mayfly_response* response) { \
    return asked_for_ok(event) ? reply_text(response, "ok") : harm(instance, event, response);  \
  }                                                                                             \
  TEST_MODULE(NULL, NULL, ok_or_harm, NULL, 0)
