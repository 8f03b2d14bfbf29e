#include "cli/control_api.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/api_reply.h"
#include "cli/events_api.h"
#include "cli/replay_api.h"
#include "cli/trigger_sample.h"
#include "cli/try_it.h"
#include "gateway/gateway.h"
#include "gateway/store/event_store.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kPrefix[] = "/v1/functions/";
constexpr char kLogs[] = "/logs";
constexpr std::size_t kMostLines = 1'000;

Json LineJson(const op::LogLine& line) {
  const auto since = line.time.time_since_epoch();
  return {{"number", line.number},
          {"time", std::chrono::duration_cast<std::chrono::milliseconds>(since).count()},
          {"replica", line.replica},
          {"text", line.text}};
}

admin::Reply Logs(op::LocalCluster& cluster, const std::string& key, const admin::Request& request) {
  if (!cluster.GetFunction(key).ok() && cluster.log().Tail(key, 1).empty()) {
    return ErrorReply(404, absl::StrCat("there is no function ", key));
  }
  std::uint64_t after = 0;
  std::uint64_t tail = kMostLines;
  std::vector<op::LogLine> lines;
  if (absl::SimpleAtoi(request.query("after"), &after)) {
    lines = cluster.log().After(key, after, kMostLines, std::chrono::steady_clock::now());
  } else {
    if (!request.query("tail").empty() && !absl::SimpleAtoi(request.query("tail"), &tail)) {
      return ErrorReply(400, "tail is no number");
    }
    lines = cluster.log().Tail(key, static_cast<std::size_t>(std::max<std::uint64_t>(tail, 1)));
    if (tail == 0 && !lines.empty()) {
      after = lines.back().number;
      lines.clear();
    }
  }
  Json json = {{"lines", Json::array()}, {"last", after}};
  for (const op::LogLine& line : lines) {
    json["lines"].push_back(LineJson(line));
    json["last"] = line.number;
  }
  return JsonReply(json);
}

// "…/NS/NAME/triggers/T/sample"
admin::Reply Sample(op::LocalCluster& cluster, const std::string& path) {
  const std::vector<std::string> parts = absl::StrSplit(absl::StripPrefix(path, kPrefix), '/');
  const std::string key = absl::StrCat(parts[0], "/", parts[1]);
  const absl::StatusOr<op::FunctionObject> object = cluster.GetFunction(key);
  if (!object.ok()) return ErrorReply(404, std::string(object.status().message()));
  if (!object->function)
    return ErrorReply(404, absl::StrCat("the manifest of ", key, " is wrong: see `mayfly get`"));
  const auto& triggers = object->function->spec.triggers;
  const auto trigger = std::find_if(triggers.begin(), triggers.end(),
                                    [&](const op::Trigger& one) { return one.name == parts[3]; });
  if (trigger == triggers.end())
    return ErrorReply(404, absl::StrCat("function ", key, " has no trigger ", parts[3], " in its manifest"));
  op::SecretData secret;
  if (trigger->event && !trigger->event->message.secret_name().empty()) {
    if (auto read = cluster.GetSecret(parts[0], trigger->event->message.secret_name()); read.ok())
      secret = *read;
  }
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  const absl::StatusOr<TriggerSample> sample =
      MakeTriggerSample(*object->function, *trigger, secret, now, gateway::NewRecordId(now * 1'000));
  if (!sample.ok()) return ErrorReply(409, std::string(sample.status().message()));
  Json json = {
      {"method", sample->method}, {"path", sample->path}, {"headers", Json::array()}, {"body", sample->body}};
  if (!sample->host.empty()) json["headers"].push_back({"Host", sample->host});
  for (const auto& [name, value] : sample->headers) json["headers"].push_back({name, value});
  return JsonReply(json);
}

}  // namespace

absl::StatusOr<FunctionView> ViewOf(const op::LocalCluster& cluster, const op::Operator& operator_,
                                    const std::string& key, const std::string& url) {
  absl::StatusOr<op::FunctionObject> object = cluster.GetFunction(key);
  if (!object.ok()) return object.status();
  FunctionView view;
  view.key = key;
  view.object = *std::move(object);
  view.status = cluster.Status(key);
  if (std::optional<op::FunctionView> known = operator_.Describe(key)) {
    if (view.status) view.status->usage = known->status.usage;  // newer than what was written
    view.decisions = std::move(known->decisions);
    view.events = std::move(known->events);
  }
  view.replicas = cluster.Replicas(key);
  view.manifests = cluster.ManifestFiles(key);
  view.url = UrlOf(view, url);
  return view;
}

absl::StatusOr<std::unique_ptr<ControlApi>> ControlApi::Start(
    const std::string& socket, op::LocalCluster& cluster, const op::Operator& operator_,
    gateway::Gateway& gateway, gateway::EventStore& store, const base::Metrics& metrics,
    const std::string& url, const std::vector<std::string>& paths, const std::string& usage_folder) {
  auto server = std::make_unique<admin::AdminServer>(metrics, [] { return std::string(); });
  server->Handle("GET", "/v1/instance", [url, paths](const admin::Request&) {
    return JsonReply({{"url", url}, {"pid", ::getpid()}, {"version", MAYFLY_VERSION}, {"paths", paths}});
  });
  server->Handle("GET", "/v1/functions", [&cluster, &operator_, url](const admin::Request&) {
    std::string body = "{\"functions\":[";
    bool first = true;
    for (const std::string& key : cluster.Functions()) {
      const absl::StatusOr<FunctionView> view = ViewOf(cluster, operator_, key, url);
      if (!view.ok()) continue;
      absl::StrAppend(&body, first ? "" : ",", ToJson(*view));
      first = false;
    }
    return admin::Reply{200, "application/json", body + "]}"};
  });
  server->Handle("GET", absl::StrCat(kPrefix, "*/*", kLogs), [&cluster](const admin::Request& request) {
    const absl::string_view rest = absl::StripPrefix(request.path, kPrefix);
    return Logs(cluster, std::string(absl::StripSuffix(rest, kLogs)), request);
  });
  server->Handle("GET", absl::StrCat(kPrefix, "*/*"),
                 [&cluster, &operator_, url](const admin::Request& request) {
                   const absl::StatusOr<FunctionView> view =
                       ViewOf(cluster, operator_, std::string(absl::StripPrefix(request.path, kPrefix)), url);
                   if (!view.ok()) return ErrorReply(404, std::string(view.status().message()));
                   return admin::Reply{200, "application/json", ToJson(*view)};
                 });
  server->Handle("GET", absl::StrCat(kPrefix, "*/*/triggers/*/sample"),
                 [&cluster](const admin::Request& request) { return Sample(cluster, request.path); });
  server->Handle("GET", "/v1/usage", [&gateway, usage_folder](const admin::Request&) {
    if (const absl::Status status = gateway.WriteUsage(); !status.ok())
      return ErrorReply(500, absl::StrCat("the newest usage records cannot be written: ", status.message()));
    return JsonReply({{"folder", usage_folder}});
  });
  AddEventPages(*server, gateway, store);
  AddReplayPage(*server, cluster, store);
  if (absl::StatusOr<std::string> address = server->Start(absl::StrCat("unix:", socket)); !address.ok()) {
    return address.status();
  }
  return std::unique_ptr<ControlApi>(new ControlApi(std::move(server)));
}

}  // namespace mayfly::cli
