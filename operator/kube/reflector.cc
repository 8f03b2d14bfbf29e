#include "operator/kube/reflector.h"

#include <algorithm>
#include <random>

#include "base/log.h"
#include "base/thread.h"
#include "operator/kube/api_error.h"
#include "operator/kube/list.h"
#include "operator/kube/object_meta.h"

namespace mayfly::kube {
namespace {

using std::chrono::seconds;

// A watch that ends sooner and brought nothing is a failure, whatever the server says.
constexpr seconds kShortWatch{1};

// Whether going on from the version that was asked for cannot succeed: it is forgotten, was never the
// server's, or is of a server whose data was restored from a backup.
bool MustListAnew(const absl::Status& status) {
  if (IsExpired(status)) return true;
  const auto error = ApiErrorOf(status);
  if (!error) return status.code() == absl::StatusCode::kInvalidArgument;
  const bool too_large = std::ranges::any_of(
      error->causes, [](const ApiError::Cause& cause) { return cause.reason == "ResourceVersionTooLarge"; });
  return too_large || error->reason == "BadRequest" || error->reason == "Invalid";
}

std::chrono::seconds Spread(std::chrono::seconds least) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> more(0, least.count());
  return least + seconds(more(random));
}

std::vector<double> LagBuckets() {
  return {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};
}

}  // namespace

Reflector::Reflector(Client& client, ReflectorOptions options, ObjectCache& cache, Project project,
                     std::function<void(const std::string& key)> changed)
    : client_(client),
      options_(std::move(options)),
      cache_(cache),
      project_(std::move(project)),
      changed_(std::move(changed)),
      objects_(client.metrics().Gauge("mayfly_kube_cache_objects", "Objects in the cache of a kind.",
                                      {{"resource", options_.resource.plural}})),
      synced_gauge_(client.metrics().Gauge("mayfly_kube_cache_synced",
                                           "Whether the cache of a kind was filled once.",
                                           {{"resource", options_.resource.plural}})),
      lag_(client.metrics().Histogram("mayfly_kube_watch_lag_seconds",
                                      "From the arrival of an event to the end of its handlers.",
                                      {{"resource", options_.resource.plural}}, LagBuckets())),
      backoff_(options_.first_backoff, options_.longest_backoff) {}

Reflector::~Reflector() { Stop(); }

void Reflector::Start() {
  thread_ =
      base::StartThread("kube-" + options_.resource.plural, [this](std::stop_token stop) { Run(stop); });
}

void Reflector::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  current_ = false;
}

bool Reflector::WaitSynced(base::MonotonicTime deadline, std::stop_token stop) const {
  std::unique_lock lock(mutex_);
  return client_.clock().WaitUntil(lock, changed_state_, stop, deadline, [this] { return synced_.load(); });
}

void Reflector::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const bool lists = version_.empty();
    const base::MonotonicTime begin = client_.clock().Now();
    heard_ = false;
    const absl::Status status = lists ? ListOnce(stop) : WatchOnce(stop);
    if (stop.stop_requested()) return;
    const bool too_short = !lists && !heard_ && client_.clock().Now() - begin < kShortWatch;
    if (!lists) CountRestart(status, too_short);
    if (heard_ || (!lists && !too_short)) backoff_.Reset();
    if (status.ok() && !too_short) continue;
    if (!status.ok()) {
      current_ = false;
      const bool anew = !lists && MustListAnew(status);
      base::log::Warn(anew ? "watch lost its place, listing anew" : "API server cannot be read",
                      {{"resource", options_.resource.plural}, {"error", std::string(status.message())}});
      if (anew) version_.clear();
      if (anew && heard_) continue;  // it had gone well until then
    }
    Wait(backoff_.Next(), stop);
  }
}

absl::Status Reflector::ListOnce(std::stop_token stop) {
  cache_.BeginList();
  const auto version = ListAll(
      client_, options_.resource, options_.space, {.selectors = options_.selectors, .limit = options_.page},
      [this] { cache_.BeginList(); },
      [this](JsonView item) {
        const std::string key = KeyOf(item);
        if (cache_.Put(key, project_(item))) changed_(key);
      },
      {.timeout = options_.list_timeout, .stop = stop});
  if (!version.ok()) return version.status();
  for (const std::string& key : cache_.EndList()) changed_(key);
  version_ = *version;
  objects_.Set(static_cast<double>(cache_.size()));
  current_ = true;
  SetSynced();
  return absl::OkStatus();
}

absl::Status Reflector::WatchOnce(std::stop_token stop) {
  return client_.Watch(options_.resource, options_.space,
                       {.selectors = options_.selectors,
                        .resource_version = version_,
                        .timeout = Spread(options_.watch_timeout),
                        .idle_timeout = options_.idle_timeout,
                        .on_begin = [this] { current_ = true; }},
                       [this](const WatchEvent& event) { OnEvent(event); }, {.stop = stop});
}

void Reflector::OnEvent(const WatchEvent& event) {
  heard_ = true;
  if (const auto version = event.object["metadata"]["resourceVersion"].Text(); !version.empty()) {
    version_ = version;
  }
  if (event.type == WatchEvent::Type::kBookmark) return;
  const std::string key = KeyOf(event.object);
  const bool different =
      event.type == WatchEvent::Type::kDeleted ? cache_.Remove(key) : cache_.Put(key, project_(event.object));
  if (different) changed_(key);
  objects_.Set(static_cast<double>(cache_.size()));
  lag_.Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - event.arrived).count());
}

void Reflector::CountRestart(const absl::Status& status, bool too_short) {
  const char* reason = "error";
  if (IsExpired(status)) {
    reason = "expired";
  } else if (status.ok()) {
    reason = too_short ? "short" : "closed";
  }
  client_.metrics()
      .Counter("mayfly_kube_watch_restarts_total", "Watches that ended, and why.",
               {{"resource", options_.resource.plural}, {"reason", reason}})
      .Increment();
}

void Reflector::Wait(std::chrono::milliseconds delay, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  client_.clock().WaitUntil(lock, changed_state_, stop, client_.clock().Now() + delay, [] { return false; });
}

void Reflector::SetSynced() {
  if (synced_) return;
  {
    const std::lock_guard lock(mutex_);
    synced_ = true;
  }
  synced_gauge_.Set(1);
  changed_state_.notify_all();
}

}  // namespace mayfly::kube
