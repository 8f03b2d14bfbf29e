#include "cli/control_api.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/try_it.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kPrefix[] = "/v1/functions/";
constexpr char kLogs[] = "/logs";
constexpr std::size_t kMostLines = 1'000;

std::string Text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

admin::Reply Error(int status, const std::string& message) {
  return {status, "application/json", Text({{"message", message}})};
}

Json LineJson(const op::LogLine& line) {
  const auto since = line.time.time_since_epoch();
  return {{"number", line.number},
          {"time", std::chrono::duration_cast<std::chrono::milliseconds>(since).count()},
          {"replica", line.replica},
          {"text", line.text}};
}

admin::Reply Logs(op::LocalCluster& cluster, const std::string& key, const admin::Request& request) {
  if (!cluster.GetFunction(key).ok() && cluster.log().Tail(key, 1).empty()) {
    return Error(404, absl::StrCat("there is no function ", key));
  }
  std::uint64_t after = 0;
  std::uint64_t tail = kMostLines;
  std::vector<op::LogLine> lines;
  if (absl::SimpleAtoi(request.query("after"), &after)) {
    lines = cluster.log().After(key, after, kMostLines, std::chrono::steady_clock::now());
  } else {
    if (!request.query("tail").empty() && !absl::SimpleAtoi(request.query("tail"), &tail)) {
      return Error(400, "tail is no number");
    }
    lines = cluster.log().Tail(key, static_cast<std::size_t>(tail));
  }
  Json json = {{"lines", Json::array()}};
  for (const op::LogLine& line : lines) json["lines"].push_back(LineJson(line));
  return {200, "application/json", Text(json)};
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
    const base::Metrics& metrics, const std::string& url, const std::vector<std::string>& paths) {
  auto server = std::make_unique<admin::AdminServer>(metrics, [] { return std::string(); });
  server->Handle("GET", "/v1/instance", [url, paths](const admin::Request&) {
    return admin::Reply{
        200, "application/json",
        Text({{"url", url}, {"pid", ::getpid()}, {"version", MAYFLY_VERSION}, {"paths", paths}})};
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
                   if (!view.ok()) return Error(404, std::string(view.status().message()));
                   return admin::Reply{200, "application/json", ToJson(*view)};
                 });
  if (absl::StatusOr<std::string> address = server->Start(absl::StrCat("unix:", socket)); !address.ok()) {
    return address.status();
  }
  return std::unique_ptr<ControlApi>(new ControlApi(std::move(server)));
}

}  // namespace mayfly::cli
