#include "operator/kube/event_recorder.h"

#include <nlohmann/json.hpp>

#include "base/backoff.h"
#include "base/log.h"
#include "base/thread.h"
#include "operator/kube/timestamps.h"

namespace mayfly::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr int kAttempts = 4;

std::string Dump(const json& object) { return object.dump(-1, ' ', false, json::error_handler_t::replace); }

// Events of objects without a namespace live in this one.
std::string SpaceOf(const ObjectReference& object) { return object.space.empty() ? "default" : object.space; }

std::string EventJson(const EventNote& note, const EventWrite& write, const EventRecorderOptions& options) {
  json about = {{"apiVersion", note.regarding.api_version},
                {"kind", note.regarding.kind},
                {"name", note.regarding.name},
                {"uid", note.regarding.uid}};
  if (!note.regarding.space.empty()) about["namespace"] = note.regarding.space;
  return Dump({{"apiVersion", "v1"},
               {"kind", "Event"},
               {"metadata", {{"namespace", SpaceOf(note.regarding)}, {"name", write.name}}},
               {"involvedObject", std::move(about)},
               {"type", note.warning ? "Warning" : "Normal"},
               {"reason", note.reason},
               {"message", write.message},
               {"count", write.count},
               {"firstTimestamp", FormatTime(write.first)},
               {"lastTimestamp", FormatTime(write.last)},
               {"source", {{"component", options.component}}},
               {"reportingComponent", options.component},
               {"reportingInstance", options.instance}});
}

std::string PatchJson(const EventWrite& write) {
  return Dump(
      {{"count", write.count}, {"lastTimestamp", FormatTime(write.last)}, {"message", write.message}});
}

}  // namespace

EventRecorder::EventRecorder(Client& client, EventRecorderOptions options)
    : client_(client), options_(std::move(options)), correlator_(options_.limits) {}

EventRecorder::~EventRecorder() { Stop(); }

void EventRecorder::Start() {
  thread_ = base::StartThread("kube-events", [this](std::stop_token stop) { Run(stop); });
}

void EventRecorder::Stop(milliseconds patience) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    closed_ = true;
    client_.clock().WaitUntil(lock, changed_, {}, client_.clock().Now() + patience,
                              [this] { return waiting_.empty() && idle_; });
  }
  thread_.request_stop();
  thread_.join();
}

void EventRecorder::Record(EventNote note) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_ && waiting_.size() < options_.queue) {
      waiting_.push_back(std::move(note));
      changed_.notify_all();
      return;
    }
  }
  Count("queue_full");
}

void EventRecorder::Run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    const EventNote note = std::move(waiting_.front());
    waiting_.pop_front();
    idle_ = false;
    lock.unlock();
    Handle(note, stop);
    lock.lock();
    idle_ = true;
    changed_.notify_all();
    if (stop.stop_requested()) return;
  }
}

void EventRecorder::Handle(const EventNote& note, std::stop_token stop) {
  base::Backoff backoff(milliseconds(250), milliseconds(5'000));
  const auto now = [this] { return client_.clock().Now(); };
  std::optional<EventWrite> write = correlator_.Correlate(note, now(), client_.clock().WallNow());
  if (!write) return Count("too_many");
  for (int attempt = 1;; ++attempt) {
    const absl::Status sent = Send(note, *write, stop);
    if (sent.ok() || (write->fresh && absl::IsAlreadyExists(sent))) return Count("sent");
    if (!write->fresh && absl::IsNotFound(sent)) {
      // It is older than the server keeps them. The next attempt makes one anew, as if this were the first.
      correlator_.Forget(note);
      write = correlator_.Correlate(note, now(), client_.clock().WallNow());
      if (!write) return Count("too_many");
    } else if (!base::IsRetriable(sent)) {
      correlator_.Forget(note);
      base::log::Debug("event not written", {{"error", std::string(sent.message())}});
      return Count("failed");
    } else if (attempt < kAttempts) {
      std::unique_lock lock(mutex_);
      client_.clock().WaitUntil(lock, changed_, stop, now() + backoff.Next(), [] { return false; });
    }
    if (attempt >= kAttempts || stop.stop_requested()) {
      if (write->fresh) correlator_.Forget(note);
      base::log::Warn("event not written", {{"reason", note.reason}, {"error", std::string(sent.message())}});
      return Count("failed");
    }
  }
}

absl::Status EventRecorder::Send(const EventNote& note, const EventWrite& write, std::stop_token stop) {
  const CallOptions call{.stop = std::move(stop)};
  const std::string space = SpaceOf(note.regarding);
  if (write.fresh) return client_.Create(Events(), space, EventJson(note, write, options_), call).status();
  return client_
      .Patch(Events(), {.space = space, .name = write.name, .subresource = ""}, PatchType::kMerge,
             PatchJson(write), {}, call)
      .status();
}

void EventRecorder::Count(const char* outcome) {
  client_.metrics()
      .Counter("mayfly_kube_events_total", "Events that were to be recorded, by what became of them.",
               {{"outcome", outcome}})
      .Increment();
}

}  // namespace mayfly::kube
