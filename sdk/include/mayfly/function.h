/* The Mayfly module ABI, version 1.
 *
 * A module is a shared object that exports one symbol, mayfly_module_v1, which returns a description of its
 * handlers. Mayfly maps it into worker processes of its own and calls it there. The conventions:
 *
 *  1. C11, the platform's C ABI. No exception, longjmp or exit crosses it; nothing is variadic.
 *  2. Every struct begins with `size`, the sizeof of it where it was filled in, and only ever grows at its
 * end. Read a field only if it lies within `size`: MAYFLY_HAS(p, field).
 *  3. Strings are mayfly_str: a pointer and a length, not zero-terminated, any bytes. An empty one may have a
 * null pointer.
 *  4. What Mayfly hands to a call is Mayfly's and valid until that call returns, unless the text says
 * otherwise. What a module hands to Mayfly is copied before the call returns, unless the text says otherwise.
 *  5. Functions that can fail return 0 for success and a positive errno value for failure.
 *  6. create, after_fork, handle and destroy of one instance are called on the main thread of a process,
 * never two at once. The host's functions may be called from that thread only, except `log`, which any thread
 * may call.
 *  7. A process serves one invocation at a time. Threads that a handler starts must not touch the event or
 * the response after handle has returned.
 *  8. Past the deadline the process is killed, with all its descendants, and so it is once its client is known to have
 * gone: there is no cancellation to handle.
 *
 * A process lives like this:
 *
 *   map the module → create(config) → fork → after_fork → handle, handle, … → destroy (best effort) → exit
 *
 * create runs once per replica, in the fork server; each worker is a fork of it and shares its pages. A
 * handler with MAYFLY_NO_FORK, or one whose create started threads, gets processes that each run create for
 * themselves.
 */
#ifndef MAYFLY_FUNCTION_H_
#define MAYFLY_FUNCTION_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAYFLY_ABI_VERSION 1u

/* Whether the struct that `p` points to is recent enough to have `field`. */
#define MAYFLY_HAS(p, field) \
  ((p)->size >= (size_t)((const char*)&(p)->field - (const char*)(p)) + sizeof((p)->field))

typedef struct mayfly_str {
  const char* data;
  size_t size;
} mayfly_str;

typedef struct mayfly_pair {
  mayfly_str name;
  mayfly_str value;
} mayfly_pair;

typedef enum mayfly_level {
  MAYFLY_DEBUG = 0,
  MAYFLY_INFO = 1,
  MAYFLY_WARN = 2,
  MAYFLY_ERROR = 3
} mayfly_level;

/* What a handler is called for: a CloudEvents 1.0 event, or an HTTP request, which is one too. Everything it
 * points to is read in place, never copied, and is gone when handle returns. */
typedef struct mayfly_event {
  size_t size;

  /* Of the invocation, unique; the same in logs, in the caller's X-Request-Id, and in usage records. */
  mayfly_str invocation_id;
  /* 1 for the first delivery, more for a retry. */
  uint32_t attempt;
  /* 1 if this is an HTTP request: method, path, query, headers and parameters are then set. */
  uint32_t is_http;
  /* CLOCK_MONOTONIC nanoseconds at which this process is killed. */
  uint64_t deadline_ns;

  /* CloudEvents attributes; empty where absent. */
  mayfly_str id;
  mayfly_str source;
  mayfly_str type;
  mayfly_str subject;
  mayfly_str time;
  mayfly_str data_content_type;
  const mayfly_pair* attributes; /* extension attributes */
  size_t attribute_count;

  mayfly_str method;
  mayfly_str path;            /* as sent, without the query, percent-encoding kept */
  mayfly_str query;           /* what follows '?' */
  const mayfly_pair* headers; /* in order, names in lower case */
  size_t header_count;
  const mayfly_pair* parameters; /* of the route's {name} segments, percent-decoded */
  size_t parameter_count;

  /* The body (the event's data). Page-aligned or not; never null-terminated. */
  const void* body;
  size_t body_size;
} mayfly_event;

/* The answer to one invocation. Opaque; used through the host's functions, until handle returns: after that they change
 * nothing and return ESTALE. */
typedef struct mayfly_response mayfly_response;

/* Where create() puts why it failed. Opaque. */
typedef struct mayfly_error mayfly_error;

/* What Mayfly offers a module. Valid as long as the process lives. */
typedef struct mayfly_host {
  size_t size;
  uint32_t abi_version;
  uint32_t reserved;

  /* Writes one line to the function's log, with the invocation's id if one runs. Any thread. Long text is cut
   * at 16 KiB; line breaks are escaped. */
  void (*log)(const struct mayfly_host* host, mayfly_level level, mayfly_str text);

  /* Answers in one call: status 100…599 (200 is usual), the body's media type (may be empty), the body.
   * EALREADY if an answer was begun before; EINVAL for a bad status or header. */
  int (*reply)(mayfly_response* response, uint32_t status, mayfly_str content_type, const void* body,
               size_t size);

  /* Adds a response header; before reply or begin. Names are tokens of RFC 9110, values have no CR, LF or
   * NUL: else EINVAL. ENOSPC past 32 KiB of headers. EALREADY once the head is sent. */
  int (*add_header)(mayfly_response* response, mayfly_str name, mayfly_str value);

  /* A streamed answer: begin sends the head, write sends body bytes as they come, end completes it. write
   * blocks while the client is slow, and does not return once it has gone (8). EPROTO if called out of order. */
  int (*begin)(mayfly_response* response, uint32_t status, mayfly_str content_type);
  int (*write)(mayfly_response* response, const void* data, size_t size);
  int (*end)(mayfly_response* response);

  /* Fails the invocation with a sentence for the caller and the log. Counts as the answer; one that was begun
   * is broken off. An HTTP caller gets a 500, if it has seen nothing yet; an event is retried by policy.
   * EALREADY after a whole answer. */
  int (*fail)(mayfly_response* response, mayfly_str message);

  /* In create() or after_fork(): why it fails. */
  void (*set_error)(mayfly_error* error, mayfly_str message);
} mayfly_host;

/* Flags of a handler. */
#define MAYFLY_NO_FORK 1u /* never fork a process that ran create() */

/* One entry point of a module. Static: valid as long as the module is mapped. */
typedef struct mayfly_handler {
  size_t size;
  const char* name; /* zero-terminated, [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 */
  uint32_t flags;
  uint32_t reserved;

  /* Makes the instance. `config` is the manifest's spec.config as JSON ("{}" if absent). Any other result
   * than 0 refuses the revision; say why with host->set_error. May be null: the instance is then null. */
  int (*create)(const mayfly_host* host, mayfly_str config, void** instance, mayfly_error* error);

  /* In each forked worker before its first invocation: fresh random seeds, connections of its own. May be
   * null. */
  int (*after_fork)(void* instance, mayfly_error* error);

  /* Serves one invocation: exactly one answer through `response`, then 0. Any other result fails the
   * invocation, as does returning without a complete answer. */
  int (*handle)(void* instance, const mayfly_event* event, mayfly_response* response);

  /* Ends the instance when an idle worker leaves. Not called when a process is killed. May be null. */
  void (*destroy)(void* instance);
} mayfly_handler;

typedef struct mayfly_module {
  size_t size;
  uint32_t abi_version; /* MAYFLY_ABI_VERSION */
  uint32_t handler_count;
  const mayfly_handler* const* handlers;
} mayfly_module;

#if defined(__GNUC__)
#define MAYFLY_EXPORT __attribute__((visibility("default")))
#else
#define MAYFLY_EXPORT
#endif

/* The one symbol that a module exports. `host` stays valid as long as the process lives. Must only describe:
 * no threads, no input or output. The description is static. */
MAYFLY_EXPORT const mayfly_module* mayfly_module_v1(const mayfly_host* host);

#ifdef __cplusplus
}
#endif

#endif /* MAYFLY_FUNCTION_H_ */
