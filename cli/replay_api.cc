#include "cli/replay_api.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/api_reply.h"
#include "gateway/store/event_store.h"
#include "gateway/store/waiting.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kPage[] = "/v1/replay/";

struct Stored {
  std::string function;
  v1::Event event;
  std::string body;
  std::uint32_t attempts = 0;
};

absl::StatusOr<Stored> Find(gateway::EventStore& store, const std::string& id) {
  gateway::EventSelection one;
  one.records = {id};
  one.most = 1;
  one.with_body = true;
  auto dead = gateway::WaitFor<std::vector<gateway::DeadLetter>>(
      [&](auto done) { store.ListDead(one, std::move(done)); });
  if (!dead.ok()) return dead.status();
  if (!dead->empty()) {
    gateway::DeadLetter& letter = dead->front();
    return Stored{letter.trigger.function, std::move(letter.event), std::move(letter.body), letter.attempts};
  }
  auto pending = gateway::WaitFor<std::vector<gateway::EventView>>(
      [&](auto done) { store.ListPending(one, std::move(done)); });
  if (!pending.ok()) return pending.status();
  if (!pending->empty()) {
    gateway::EventView& view = pending->front();
    return Stored{view.trigger.function, std::move(view.event), std::move(view.body), view.attempts};
  }
  return absl::NotFoundError(absl::StrCat("there is no dead letter and no pending event ", id,
                                          ": `mayfly dlq list` and `mayfly events` list what there is"));
}

absl::StatusOr<Json> Replay(const op::LocalCluster& cluster, gateway::EventStore& store,
                            const std::string& id) {
  const absl::StatusOr<Stored> stored = Find(store, id);
  if (!stored.ok()) return stored.status();
  const absl::StatusOr<op::FunctionObject> object = cluster.GetFunction(stored->function);
  if (!object.ok()) return object.status();
  if (object->function == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("the manifest of ", stored->function, " is wrong: see `mayfly get`"));
  }
  const op::FunctionSpec& spec = object->function->spec;
  return Json{{"function", stored->function},
              {"module", object->artifact_bytes == nullptr ? object->artifact_path : ""},
              {"handler", spec.handler},
              {"config", spec.config_json},
              {"environment", spec.environment},
              {"attempt", stored->attempts + 1},
              {"event", absl::Base64Escape(stored->event.SerializeAsString())},
              {"body", absl::Base64Escape(stored->body)}};
}

}  // namespace

void AddReplayPage(admin::AdminServer& server, const op::LocalCluster& cluster, gateway::EventStore& store) {
  server.Handle("GET", absl::StrCat(kPage, "*"), [&](const admin::Request& request) {
    const absl::StatusOr<Json> json =
        Replay(cluster, store, std::string(absl::StripPrefix(request.path, kPage)));
    return json.ok() ? JsonReply(*json) : ErrorReply(json.status());
  });
}

}  // namespace mayfly::cli
