#include "operator/kube/client.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "operator/kube/api_error.h"

namespace mayfly::kube {
namespace {

constexpr int kMaxAttempts = 5;
constexpr std::chrono::seconds kWatchGrace{15};
constexpr char kJsonType[] = "application/json";

const char* ContentType(PatchType type) {
  switch (type) {
    case PatchType::kMerge:
      return "application/merge-patch+json";
    case PatchType::kJson:
      return "application/json-patch+json";
    case PatchType::kStrategicMerge:
      break;
  }
  return "application/strategic-merge-patch+json";
}

std::string DeleteBody(const DeleteOptions& options) {
  nlohmann::json body = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
  if (!options.resource_version.empty()) {
    body["preconditions"]["resourceVersion"] = options.resource_version;
  }
  if (!options.propagation.empty()) body["propagationPolicy"] = options.propagation;
  if (options.grace) body["gracePeriodSeconds"] = options.grace->count();
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string CodeLabel(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kDeadlineExceeded:
      return "timeout";
    case absl::StatusCode::kCancelled:
      return "cancelled";
    default:
      return "error";
  }
}

// Whether the server refused the request only for now, and so did nothing.
bool AsksForRetry(const HttpResponse& response) {
  return response.code == 429 || (response.code >= 500 && response.retry_after.has_value());
}

}  // namespace

// What one call is, for errors and metrics.
struct Client::Call {
  const char* verb;
  const Resource& resource;
  std::string object;
  const CallOptions& options;

  std::string Describe() const {
    return absl::StrCat(verb, " ", resource.plural, object.empty() ? "" : " ", object);
  }
};

Client::Client(Transport& transport, base::Metrics& metrics, const base::Clock& clock,
               RateLimiter::Limits limits)
    : transport_(transport), metrics_(metrics), clock_(clock), limiter_(clock, limits) {}

absl::StatusOr<JsonDocument> Client::Get(const Resource& resource, const Target& target,
                                         const CallOptions& call) {
  return SendForObject({"get", resource, KeyOf(target.space, target.name), call},
                       {.method = "GET", .target = ObjectPath(resource, target)});
}

absl::StatusOr<ListPage> Client::List(const Resource& resource, std::string_view space,
                                      const ListOptions& options, const CallOptions& call) {
  const std::string query =
      Query({{"continue", options.continue_token},
             {"fieldSelector", options.selectors.fields},
             {"labelSelector", options.selectors.labels},
             {"limit", options.limit > 0 ? std::to_string(options.limit) : ""},
             {"resourceVersion", options.continue_token.empty() ? options.resource_version : ""}});
  absl::StatusOr<JsonDocument> document =
      SendForObject({"list", resource, std::string(space), call},
                    {.method = "GET", .target = CollectionPath(resource, space) + query});
  if (!document.ok()) return document.status();
  ListPage page{.document = *std::move(document)};
  const JsonView metadata = page.document.root()["metadata"];
  page.resource_version = metadata["resourceVersion"].Text();
  page.continue_token = metadata["continue"].Text();
  if (page.resource_version.empty()) {
    return absl::InternalError(absl::StrCat("list ", resource.plural,
                                            ": the server's answer is no list: it has no resourceVersion"));
  }
  return page;
}

absl::StatusOr<JsonDocument> Client::Create(const Resource& resource, std::string_view space,
                                            std::string body, const CallOptions& call) {
  return SendForObject({"create", resource, std::string(space), call},
                       {.method = "POST",
                        .target = CollectionPath(resource, space),
                        .body = std::move(body),
                        .content_type = kJsonType});
}

absl::StatusOr<JsonDocument> Client::Replace(const Resource& resource, const Target& target, std::string body,
                                             const CallOptions& call) {
  return SendForObject({"update", resource, KeyOf(target.space, target.name), call},
                       {.method = "PUT",
                        .target = ObjectPath(resource, target),
                        .body = std::move(body),
                        .content_type = kJsonType});
}

absl::StatusOr<JsonDocument> Client::Patch(const Resource& resource, const Target& target, PatchType type,
                                           std::string body, const PatchOptions& options,
                                           const CallOptions& call) {
  const std::string query =
      Query({{"dryRun", options.dry_run ? "All" : ""}, {"fieldManager", options.field_manager}});
  return SendForObject({"patch", resource, KeyOf(target.space, target.name), call},
                       {.method = "PATCH",
                        .target = ObjectPath(resource, target) + query,
                        .body = std::move(body),
                        .content_type = ContentType(type)});
}

absl::StatusOr<JsonDocument> Client::Apply(const Resource& resource, const Target& target, std::string body,
                                           const ApplyOptions& options, const CallOptions& call) {
  const std::string query = Query({{"dryRun", options.dry_run ? "All" : ""},
                                   {"fieldManager", options.field_manager},
                                   {"force", options.force ? "true" : "false"}});
  // JSON is YAML, and servers before 1.34 know the type by this name alone.
  return SendForObject({"apply", resource, KeyOf(target.space, target.name), call},
                       {.method = "PATCH",
                        .target = ObjectPath(resource, target) + query,
                        .body = std::move(body),
                        .content_type = "application/apply-patch+yaml"});
}

absl::Status Client::Delete(const Resource& resource, const Target& target, const DeleteOptions& options,
                            const CallOptions& call) {
  const auto answer = SendForObject({"delete", resource, KeyOf(target.space, target.name), call},
                                    {.method = "DELETE",
                                     .target = ObjectPath(resource, target),
                                     .body = DeleteBody(options),
                                     .content_type = kJsonType});
  return answer.status();
}

absl::Status Client::Watch(const Resource& resource, std::string_view space, const WatchOptions& options,
                           absl::FunctionRef<void(const WatchEvent&)> on_event, const CallOptions& call) {
  const std::string query = Query({{"allowWatchBookmarks", "true"},
                                   {"fieldSelector", options.selectors.fields},
                                   {"labelSelector", options.selectors.labels},
                                   {"resourceVersion", options.resource_version},
                                   {"timeoutSeconds", std::to_string(options.timeout.count())},
                                   {"watch", "true"}});
  const Call what{"watch", resource, std::string(space), call};
  WatchStream stream;
  absl::Status read;
  TransferOptions transfer{.deadline = clock_.Now() + options.timeout + kWatchGrace,
                           .stop = call.stop,
                           .idle_timeout = options.idle_timeout,
                           .on_begin = options.on_begin};
  transfer.on_bytes = [&stream, &read, on_event](std::string_view bytes) {
    read = stream.Feed(bytes, on_event);
    return read.ok();
  };
  const auto response =
      Send(what, {.method = "GET", .target = CollectionPath(resource, space) + query}, transfer);
  if (!read.ok()) return base::WithContext(read, what.Describe());
  if (!response.ok()) return response.status();
  return base::WithContext(stream.Finish(), what.Describe());
}

absl::StatusOr<JsonDocument> Client::SendForObject(const Call& call, const HttpRequest& request) {
  const auto response =
      Send(call, request, {.deadline = clock_.Now() + call.options.timeout, .stop = call.options.stop});
  if (!response.ok()) return response.status();
  JsonDocument document;
  if (absl::Status parsed = document.Parse(response->body); !parsed.ok()) {
    return base::WithContext(parsed, absl::StrCat(call.Describe(), ": the server's answer"));
  }
  return document;
}

absl::StatusOr<HttpResponse> Client::Send(const Call& call, const HttpRequest& request,
                                          const TransferOptions& transfer) {
  for (int attempt = 1;; ++attempt) {
    if (absl::Status turn = limiter_.Acquire(call.options.priority, transfer.deadline, transfer.stop);
        !turn.ok()) {
      return base::WithContext(turn, call.Describe());
    }
    const base::MonotonicTime begin = clock_.Now();
    absl::StatusOr<HttpResponse> response = transport_.Send(request, transfer);
    Count(call, response.ok() ? std::to_string(response->code) : CodeLabel(response.status()), begin);
    if (!response.ok()) return base::WithContext(response.status(), call.Describe());
    if (response->code >= 200 && response->code < 300) return response;
    if (attempt == kMaxAttempts || !AsksForRetry(*response) || !WaitBeforeRetry(*response, transfer)) {
      return base::WithContext(StatusFromAnswer(response->code, response->body, response->retry_after),
                               call.Describe());
    }
  }
}

bool Client::WaitBeforeRetry(const HttpResponse& response, const TransferOptions& transfer) {
  const base::MonotonicTime until = clock_.Now() + response.retry_after.value_or(std::chrono::seconds(1));
  if (until >= transfer.deadline) return false;
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  clock_.WaitUntil(lock, never, transfer.stop, until, [] { return false; });
  return !transfer.stop.stop_requested();
}

void Client::Count(const Call& call, std::string_view code, base::MonotonicTime begin) {
  metrics_
      .Counter("mayfly_kube_requests_total", "Requests to the API server, by outcome.",
               {{"verb", call.verb}, {"resource", call.resource.plural}, {"code", std::string(code)}})
      .Increment();
  if (std::string_view(call.verb) == "watch") return;  // its time says nothing
  metrics_
      .Histogram("mayfly_kube_request_seconds", "How long the API server took to answer.",
                 {{"verb", call.verb}, {"resource", call.resource.plural}}, base::Metrics::LatencyBuckets())
      .Observe(std::chrono::duration<double>(clock_.Now() - begin).count());
}

}  // namespace mayfly::kube
