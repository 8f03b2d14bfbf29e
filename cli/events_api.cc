#include "cli/events_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/utf8.h"
#include "cli/api_reply.h"
#include "gateway/gateway.h"
#include "gateway/store/waiting.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kLetters[] = "/v1/deadletters/";

gateway::EventSelection Selection(const admin::Request& request) {
  gateway::EventSelection selection;
  selection.function = request.query("function");
  selection.trigger = request.query("trigger");
  selection.reason = request.query("reason");
  selection.after = request.query("after");
  if (const std::string id = request.query("id"); !id.empty()) selection.records = {id};
  std::uint64_t most = 0;
  if (absl::SimpleAtoi(request.query("most"), &most)) selection.most = most;
  return selection;
}

Json History(const v1::AttemptHistory& history) {
  Json list = Json::array();
  for (const v1::Attempt& attempt : history.attempts()) {
    list.push_back({{"at", attempt.at_ms()},
                    {"attempt", attempt.attempt()},
                    {"invocation", attempt.invocation_id()},
                    {"reason", attempt.problem().reason()},
                    {"message", attempt.problem().message()}});
  }
  return list;
}

Json LetterJson(const gateway::DeadLetter& letter) {
  return {{"id", letter.record},
          {"function", letter.trigger.function},
          {"trigger", letter.trigger.trigger},
          {"event", letter.event.id()},
          {"source", letter.event.source()},
          {"type", letter.event.type()},
          {"accepted", letter.accepted_ms},
          {"died", letter.died_ms},
          {"attempts", letter.attempts},
          {"reason", letter.problem.reason()},
          {"message", letter.problem.message()}};
}

admin::Reply Events(const gateway::Gateway& gateway, gateway::EventStore& store,
                    const admin::Request& request) {
  const gateway::EventSelection selection = Selection(request);
  Json json = {{"sums", Json::array()}, {"events", Json::array()}};
  for (const gateway::EventSums& of : gateway.Events()) {
    if (!selection.function.empty() && of.state.key.function != selection.function) continue;
    json["sums"].push_back({{"function", of.state.key.function},
                            {"trigger", of.state.key.trigger},
                            {"accepted", of.accepted},
                            {"settled", of.settled},
                            {"deadLettered", of.dead_lettered},
                            {"pending", of.pending},
                            {"problem", std::string(of.state.health.message())}});
  }
  const auto views = gateway::WaitFor<std::vector<gateway::EventView>>(
      [&](auto done) { store.ListPending(selection, std::move(done)); });
  if (!views.ok()) return ErrorReply(views.status());
  const auto running = gateway::WaitFor<std::set<std::string>>([&](auto done) {
    gateway.RunningEvents(
        [done = std::move(done)](std::set<std::string> records) { done(std::move(records)); });
  });
  if (!running.ok()) return ErrorReply(running.status());
  for (const gateway::EventView& view : *views) {
    json["events"].push_back({{"id", view.record},
                              {"function", view.trigger.function},
                              {"trigger", view.trigger.trigger},
                              {"event", view.event.id()},
                              {"state", running->contains(view.record) ? "running" : "waiting"},
                              {"accepted", view.accepted_ms},
                              {"due", view.due_ms},
                              {"attempts", view.attempts},
                              {"history", History(view.history)}});
  }
  return JsonReply(json);
}

admin::Reply Letters(gateway::EventStore& store, const admin::Request& request) {
  const auto letters = gateway::WaitFor<std::vector<gateway::DeadLetter>>(
      [&](auto done) { store.ListDead(Selection(request), std::move(done)); });
  if (!letters.ok()) return ErrorReply(letters.status());
  Json json = {{"letters", Json::array()}};
  for (const gateway::DeadLetter& letter : *letters) json["letters"].push_back(LetterJson(letter));
  return JsonReply(json);
}

admin::Reply Letter(gateway::EventStore& store, const admin::Request& request) {
  gateway::EventSelection one;
  one.records = {std::string(absl::StripPrefix(request.path, kLetters))};
  one.with_body = true;
  const auto letters = gateway::WaitFor<std::vector<gateway::DeadLetter>>(
      [&](auto done) { store.ListDead(one, std::move(done)); });
  if (!letters.ok()) return ErrorReply(letters.status());
  if (letters->empty())
    return ErrorReply(absl::NotFoundError(absl::StrCat("there is no dead letter ", one.records[0])));
  const gateway::DeadLetter& letter = letters->front();
  Json json = LetterJson(letter);
  json["subject"] = letter.event.subject();
  json["dataContentType"] = letter.event.data_content_type();
  json["history"] = History(letter.history);
  if (base::IsUtf8(letter.body)) {
    json["body"] = letter.body;
  } else {
    json["bodyBase64"] = absl::Base64Escape(letter.body);
  }
  return JsonReply(json);
}

admin::Reply Count(const absl::StatusOr<std::size_t>& count) {
  if (!count.ok()) return ErrorReply(count.status());
  return JsonReply({{"count", *count}});
}

}  // namespace

void AddEventPages(admin::AdminServer& server, const gateway::Gateway& gateway, gateway::EventStore& store) {
  server.Handle("GET", "/v1/events",
                [&](const admin::Request& request) { return Events(gateway, store, request); });
  server.Handle("GET", "/v1/deadletters",
                [&](const admin::Request& request) { return Letters(store, request); });
  server.Handle("GET", absl::StrCat(kLetters, "*"),
                [&](const admin::Request& request) { return Letter(store, request); });
  server.Handle("POST", absl::StrCat(kLetters, "redrive"), [&](const admin::Request& request) {
    return Count(gateway::WaitFor<std::size_t>(
        [&](auto done) { store.Redrive(Selection(request), std::move(done)); }));
  });
  server.Handle("POST", absl::StrCat(kLetters, "purge"), [&](const admin::Request& request) {
    return Count(
        gateway::WaitFor<std::size_t>([&](auto done) { store.Purge(Selection(request), std::move(done)); }));
  });
}

}  // namespace mayfly::cli
