#include "gateway/delivery/async_dispatcher.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/utf8.h"
#include "gateway/delivery/json_answer.h"
#include "proto/problem.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostKey = 255;
// By EventState.
constexpr std::string_view kStates[] = {"waiting", "running", "done", "deadLettered", "cancelled"};

std::string HeaderOf(const v1::Event& event, std::string_view name) {
  for (const v1::Pair& header : event.http().headers()) {
    if (header.name() == name) return header.value();
  }
  return {};
}

bool WantsAsync(const v1::Event& event) {
  for (const v1::Pair& header : event.http().headers()) {
    if (header.name() != "prefer") continue;
    for (const absl::string_view part : absl::StrSplit(header.value(), absl::ByAnyChar(",;"))) {
      if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(part), "respond-async")) return true;
    }
  }
  return false;
}

void Reply(AnswerSink& sink, std::uint32_t status, const Json& json, const AnswerHeaders& headers = {}) {
  Reply(sink, status, "application/json", json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
        headers);
}

void ReplyStatus(AnswerSink& sink, const absl::Status& status) {
  const std::string message(status.message());
  if (absl::IsNotFound(status)) return ReplyProblem(sink, 404, "NoSuchInvocation", message);
  if (absl::IsFailedPrecondition(status)) return ReplyProblem(sink, 501, "NoEventStore", message);
  ReplyProblem(sink, 503, "EventStoreUnavailable", message);
}

std::string NameOf(EventState state) { return std::string(kStates[static_cast<std::size_t>(state)]); }

// Of a DELETE of what can (no longer) be taken back: one that is over is told apart from one that never was.
void ReplyNotCancelled(AnswerSink& sink, const absl::StatusOr<EventView>& view) {
  if (!view.ok()) return ReplyStatus(sink, view.status());
  if (view->trigger.trigger != kAsyncTrigger)
    return ReplyProblem(sink, 404, "NoSuchInvocation", "there is no such invocation here");
  const std::string state = NameOf(view->state);
  if (view->state == EventState::kWaiting || view->state == EventState::kRunning) {
    return ReplyProblem(sink, 503, "InvocationIsChanging",
                        "the invocation is about to change its state: try again in a moment");
  }
  Reply(sink, 409,
        {{"component", "gateway"},
         {"reason", "InvocationIsOver"},
         {"message", absl::StrCat("the invocation has its outcome already (", state,
                                  "), so it cannot be taken back; GET it to see it")},
         {"id", view->record},
         {"state", state}});
}

Json ToJson(const EventView& view) {
  Json json = {{"id", view.record},
               {"function", view.trigger.function},
               {"state", NameOf(view.state)},
               {"attempts", view.attempts}};
  if (view.history.attempts_size() > 0) {
    const v1::Problem& last = view.history.attempts().rbegin()->problem();
    json["lastFailure"] = {{"reason", last.reason()}, {"message", last.message()}};
  }
  if (!view.result) return json;
  Json result = {{"status", view.result->head().status()}};
  for (const v1::Pair& header : view.result->head().headers())
    result["headers"][header.name()] = header.value();
  if (base::IsUtf8(view.result->body())) {
    result["body"] = view.result->body();
  } else {
    result["bodyBase64"] = absl::Base64Escape(view.result->body());
  }
  if (view.result->cut()) result["cut"] = true;
  json["result"] = std::move(result);
  return json;
}

// What needs nothing more of its caller.
class Answered final : public Dispatched {
 public:
  void Write(std::string, bool) override {}
  void Grant(std::uint64_t) override {}
  void Cancel() override {}
};

}  // namespace

std::unique_ptr<Dispatched> AsyncDispatcher::Begin(DispatchRequest request,
                                                   std::shared_ptr<AnswerSink> sink) {
  if (request.route == nullptr) {
    Answer(request.start.event(), std::move(sink));
    return std::make_unique<Answered>();
  }
  if (!WantsAsync(request.start.event())) return next_.Begin(std::move(request), std::move(sink));
  return GatherRequest(std::move(request), std::move(sink), budget_, [this](GatheredRequest gathered) {
    Store(std::move(gathered.request), std::move(gathered.sink));
  });
}

void AsyncDispatcher::Store(DispatchRequest request, std::shared_ptr<AnswerSink> sink) {
  NewEvent event;
  // The invocation's id sorts by time, and nobody can guess it: it is the record's too.
  event.record = NewRecordId(std::chrono::duration_cast<std::chrono::milliseconds>(
                                 std::chrono::system_clock::now().time_since_epoch())
                                 .count());
  event.trigger = {request.route->function(), kAsyncTrigger};
  event.event = std::move(*request.start.mutable_event());
  const std::string key = HeaderOf(event.event, "idempotency-key");
  if (key.size() > kMostKey || !base::IsUtf8(key)) {
    ReplyProblem(*sink, 400, "BadIdempotencyKey", "Idempotency-Key has more than 255 bytes, or is not UTF-8");
    return;
  }
  // What the caller chose as X-Request-Id names no event: two requests may have the same.
  const bool own = event.event.type() != "dev.mayfly.http.request";
  if (!key.empty()) {
    event.event.set_id(key);
  } else if (!own) {
    event.event.set_id(event.record);
  }
  event.body = std::move(request.body);
  event.keep_result = true;
  DeliveryEngine* const engine = engine_;
  if (engine == nullptr) return ReplyProblem(*sink, 501, "NoEventStore", "this gateway has no event store");
  engine->Accept(std::move(event), [sink = std::move(sink)](const absl::StatusOr<Accepted>& accepted) {
    if (!accepted.ok()) return ReplyStatus(*sink, accepted.status());
    const std::string location = absl::StrCat(std::string(kInvocationsPath), accepted->record);
    Reply(*sink, 202, {{"id", accepted->record}, {"state", "waiting"}, {"duplicate", accepted->duplicate}},
          {{"location", location}, {"preference-applied", "respond-async"}});
  });
}

void AsyncDispatcher::Answer(const v1::Event& event, std::shared_ptr<AnswerSink> sink) {
  const std::string record = event.http().path().substr(kInvocationsPath.size());
  DeliveryEngine* const engine = engine_;
  EventStore* const store = engine == nullptr ? nullptr : engine->store();
  if (store == nullptr) {
    ReplyProblem(*sink, 501, "NoEventStore", "this gateway has no event store");
  } else if (event.http().method() == "DELETE") {
    engine->Cancel(record, [sink, record, store](const absl::Status& status) {
      if (absl::IsNotFound(status)) {
        return store->Find(record,
                           [sink](const absl::StatusOr<EventView>& view) { ReplyNotCancelled(*sink, view); });
      }
      if (!status.ok()) return ReplyStatus(*sink, status);
      Reply(*sink, 202, {{"id", record}, {"state", "cancelled"}});
    });
  } else {
    store->Find(record, [sink, engine](const absl::StatusOr<EventView>& view) {
      if (!view.ok()) return ReplyStatus(*sink, view.status());
      // Others than asynchronous invocations are nobody's business here.
      if (view->trigger.trigger != kAsyncTrigger)
        return ReplyProblem(*sink, 404, "NoSuchInvocation", "there is no such invocation here");
      if (view->state != EventState::kRunning) return Reply(*sink, 200, ToJson(*view));
      engine->Running([sink, view = *view](const std::set<std::string>& running) mutable {
        if (!running.contains(view.record)) view.state = EventState::kWaiting;
        Reply(*sink, 200, ToJson(view));
      });
    });
  }
}

}  // namespace mayfly::gateway
