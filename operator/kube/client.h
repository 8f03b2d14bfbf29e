// A Client speaks the API server's language: verbs on resources, errors as base/status.h wants them.
//
//   Config ─ Credentials ─ CurlTransport ─ Client ─┬─ Informer     what is there, kept up to date
//                                                  ├─ EventRecorder what people read in `kubectl describe`
//                                                  └─ LeaderElector who may write
//
// Every call blocks its thread until its timeout at most, waits its turn at the client-side rate limit, and
// heeds the server's Retry-After (429, 503) within its timeout. Nothing else is tried again here: who calls
// has a work queue with backoff. An error says which call failed, and api_error.h what the server said.
//
// A create or patch whose connection broke may have happened: callers use fixed names, so that a second one
// reads AlreadyExists, and never generateName.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "operator/kube/json.h"
#include "operator/kube/rate_limiter.h"
#include "operator/kube/resource.h"
#include "operator/kube/transport.h"
#include "operator/kube/watch_stream.h"

namespace mayfly::kube {

struct CallOptions {
  std::chrono::milliseconds timeout{10'000};
  std::stop_token stop = {};
  Priority priority = Priority::kNormal;
};

struct Selectors {
  std::string labels = {};  // "app=x,tier!=db"
  std::string fields = {};  // "spec.nodeName=node1"
};

struct ListOptions {
  Selectors selectors = {};
  std::int64_t limit = 500;           // objects of a page; 0: all at once
  std::string continue_token = {};    // of the page before
  std::string resource_version = {};  // "": the newest; "0": whatever the server has at hand
};

// One page of a list.
struct ListPage {
  JsonDocument document = {};
  std::string resource_version = {};  // of the whole list: what a watch goes on from
  std::string continue_token = {};    // "" at the last page

  JsonView items() const { return document.root()["items"]; }
};

struct DeleteOptions {
  // Only if it still is this object, and this version of it.
  std::string uid = {};
  std::string resource_version = {};
  // "Background", "Foreground" or "Orphan"; "" for the kind's own.
  std::string propagation = {};
  std::optional<std::chrono::seconds> grace = {};
};

enum class PatchType {
  kMerge,          // RFC 7396
  kJson,           // RFC 6902
  kStrategicMerge  // built-in kinds only
};

struct PatchOptions {
  std::string field_manager = {};
  bool dry_run = false;
};

struct ApplyOptions {
  std::string field_manager = {};  // REQUIRED
  bool force = true;               // a controller owns its fields
  bool dry_run = false;
};

struct WatchOptions {
  Selectors selectors = {};
  std::string resource_version = {};  // all that came after it is sent
  // The server ends the watch after so long; we do 15 s later.
  std::chrono::seconds timeout{300};
  // The server sends a bookmark each minute; a watch that sends nothing for so long is dead.
  std::chrono::milliseconds idle_timeout{150'000};
  // Told when the server has begun to answer.
  std::function<void()> on_begin = {};
};

class Client {
 public:
  // All that is referred to must outlive the client.
  Client(Transport& transport, base::Metrics& metrics, const base::Clock& clock,
         RateLimiter::Limits limits = {});

  absl::StatusOr<JsonDocument> Get(const Resource& resource, const Target& target,
                                   const CallOptions& call = {});
  // One page; list.h has the whole list.
  absl::StatusOr<ListPage> List(const Resource& resource, std::string_view space, const ListOptions& options,
                                const CallOptions& call = {});
  // `body` is the object as JSON. The answer is the object as the server keeps it.
  absl::StatusOr<JsonDocument> Create(const Resource& resource, std::string_view space, std::string body,
                                      const CallOptions& call = {});
  // Replaces the object; kAborted (Conflict) if the resourceVersion in `body` is not the newest.
  absl::StatusOr<JsonDocument> Replace(const Resource& resource, const Target& target, std::string body,
                                       const CallOptions& call = {});
  absl::StatusOr<JsonDocument> Patch(const Resource& resource, const Target& target, PatchType type,
                                     std::string body, const PatchOptions& options = {},
                                     const CallOptions& call = {});
  // Server-side apply: makes or changes the object so that the fields of `body` are as it says.
  absl::StatusOr<JsonDocument> Apply(const Resource& resource, const Target& target, std::string body,
                                     const ApplyOptions& options, const CallOptions& call = {});
  // kNotFound if it is gone already; kAborted (Conflict) if it is not the one that `options` means.
  absl::Status Delete(const Resource& resource, const Target& target, const DeleteOptions& options = {},
                      const CallOptions& call = {});

  // Calls `on_event` for what changes, on this thread, until the server ends the watch: OK. IsExpired() if
  // the resource version is not kept any more: list anew. call.stop ends the watch at once; call.timeout does
  // not count.
  absl::Status Watch(const Resource& resource, std::string_view space, const WatchOptions& options,
                     absl::FunctionRef<void(const WatchEvent&)> on_event, const CallOptions& call = {});

  const base::Clock& clock() const { return clock_; }
  base::Metrics& metrics() const { return metrics_; }

 private:
  struct Call;

  absl::StatusOr<HttpResponse> Send(const Call& call, const HttpRequest& request,
                                    const TransferOptions& transfer);
  absl::StatusOr<JsonDocument> SendForObject(const Call& call, const HttpRequest& request);
  // Whether there is time for another attempt, which is then due.
  bool WaitBeforeRetry(const HttpResponse& response, const TransferOptions& transfer);
  void Count(const Call& call, std::string_view code, base::MonotonicTime begin);

  Transport& transport_;
  base::Metrics& metrics_;
  const base::Clock& clock_;
  RateLimiter limiter_;
};

}  // namespace mayfly::kube
