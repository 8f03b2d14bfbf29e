#include "cli/in_cluster.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/exit_codes.h"
#include "cli/why.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFunctions = "/apis/mayfly.dev/v1alpha1";

std::string NameOf(std::string_view function) {
  return std::string(function.substr(function.find('/') + 1));  // npos + 1 is 0
}

absl::StatusOr<Json> Parse(const absl::StatusOr<std::string>& body) {
  if (!body.ok()) return body.status();
  Json json = Json::parse(*body, nullptr, false);
  if (!json.is_object()) return absl::InternalError("the API server's answer is no JSON object");
  return json;
}

// An object's text field, or "".
std::string Text(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

Json Child(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() ? *found : Json();
}

// The namespace and name of the Service of the gateways: "namespace/name".
absl::StatusOr<std::string> FindGateway(const Cluster& cluster) {
  const absl::StatusOr<Json> services = Parse(cluster.Get(
      "/api/v1/services?labelSelector=app.kubernetes.io%2Fpart-of%3Dmayfly%2Capp.kubernetes.io%2Fcomponent%3D"
      "gateway"));
  if (!services.ok()) return services.status();
  for (const Json& service : Child(*services, "items")) {
    const Json metadata = Child(service, "metadata");
    return absl::StrCat(Text(metadata, "namespace"), "/", Text(metadata, "name"));
  }
  return absl::NotFoundError("there is no gateway's Service in this cluster: install Mayfly with its chart");
}

}  // namespace

std::string SpaceOf(const Cluster& cluster, std::string_view function) {
  const std::size_t slash = function.find('/');
  return slash == std::string_view::npos ? cluster.space() : std::string(function.substr(0, slash));
}

absl::StatusOr<std::string> ReadFunction(const Cluster& cluster, const std::string& function) {
  const std::string space = SpaceOf(cluster, function);
  absl::StatusOr<std::string> body =
      cluster.Get(absl::StrCat(kFunctions.data(), "/namespaces/", space, "/functions/", NameOf(function)));
  if (absl::IsNotFound(body.status())) {
    return absl::NotFoundError(absl::StrCat("there is no function ", NameOf(function), " in the namespace ",
                                            space, ": `kubectl mayfly get -A` lists what there is"));
  }
  if (!body.ok()) return body;
  Json json = Json::parse(*body, nullptr, false);
  if (!json.is_object() || !json.contains("metadata") || !json["metadata"].is_object())
    return absl::InternalError("the API server's answer is no function");
  json["metadata"].erase("managedFields");
  return json.dump();
}

absl::StatusOr<std::string> ListFunctions(const Cluster& cluster, const std::string& space) {
  const std::string of = space.empty() ? "" : absl::StrCat("/namespaces/", space);
  const absl::StatusOr<Json> list = Parse(cluster.Get(absl::StrCat(kFunctions.data(), of, "/functions")));
  if (absl::IsNotFound(list.status()))
    return absl::NotFoundError("this cluster knows no Functions: install Mayfly with its chart");
  if (!list.ok()) return list.status();
  Json functions = Json::array();
  for (Json function : Child(*list, "items")) {
    if (!function.is_object() || !function.contains("metadata")) continue;
    function["metadata"].erase("managedFields");
    functions.push_back(std::move(function));
  }
  return Json{{"functions", std::move(functions)}}.dump();
}

absl::StatusOr<std::string> ProxyPath(std::string_view url, std::string_view gateway, std::string_view more) {
  constexpr std::string_view kScheme = "http://";
  if (url.substr(0, kScheme.size()) != kScheme) {
    return absl::FailedPreconditionError(
        url.empty()
            ? "it has no route yet: `kubectl mayfly why` says why"
            : absl::StrCat("it answers at ", std::string(url), ", which the API server is no proxy for"));
  }
  url.remove_prefix(kScheme.size());
  const std::size_t slash = std::min(url.find('/'), url.size());
  const std::string_view host = url.substr(0, std::min(url.find(':'), slash));
  std::string path(url.substr(slash));
  // What a parameter stands for, the caller says.
  if (const std::size_t parameter = path.find('{'); parameter != std::string::npos) {
    if (more.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "its path is ", path, ": say with --path what comes instead of ", path.substr(parameter)));
    }
    path.resize(parameter);
    if (more.front() == '/') more.remove_prefix(1);
  }
  if (!more.empty() && more.front() != '/' && more.front() != '?' && !path.ends_with('/')) path += '/';
  // NAME.NAMESPACE.svc, as the chart has it by default.
  constexpr std::string_view kService = ".svc";
  std::string name;
  std::string space;
  if (host.ends_with(kService)) {
    const std::string_view both = host.substr(0, host.size() - kService.size());
    const std::size_t dot = std::min(both.find('.'), both.size());
    name = both.substr(0, dot);
    space = both.substr(std::min(dot + 1, both.size()));
  } else {
    const std::size_t between = std::min(gateway.find('/'), gateway.size());
    space = gateway.substr(0, between);
    name = gateway.substr(std::min(between + 1, gateway.size()));
  }
  return absl::StrCat("/api/v1/namespaces/", space, "/services/", name, ":http/proxy", path,
                      absl::string_view(more.data(), more.size()));
}

absl::StatusOr<std::string> PathOfFunction(const Cluster& cluster, const std::string& function,
                                           const std::string& more) {
  const absl::StatusOr<Json> json = Parse(ReadFunction(cluster, function));
  if (!json.ok()) return json.status();
  const std::string url = Text(Child(*json, "status"), "url");
  std::string gateway;
  if (url.find(".svc/") == std::string::npos && url.find(".svc:") == std::string::npos) {
    absl::StatusOr<std::string> found = FindGateway(cluster);
    if (!found.ok()) return found.status();
    gateway = *std::move(found);
  }
  absl::StatusOr<std::string> path = ProxyPath(url, gateway, more);
  if (path.ok()) return path;
  return absl::Status(path.status().code(), absl::StrCat("the function ", function,
                                                         " cannot be invoked: ", path.status().message()));
}

absl::StatusOr<TopSample> LookAtCluster(const Cluster& cluster, const std::string& space) {
  const absl::StatusOr<std::string> list = ListFunctions(cluster, space);
  if (!list.ok()) return list.status();
  const absl::StatusOr<Json> pods =
      Parse(cluster.Get("/api/v1/pods?labelSelector=app.kubernetes.io%2Fpart-of%3Dmayfly%2C"
                        "app.kubernetes.io%2Fcomponent%20in%20%28operator%2Cgateway%29"));
  if (!pods.ok()) return pods.status();
  TopSample sample;
  absl::Status unseen = absl::NotFoundError("there is no operator and no gateway in this cluster");
  for (const Json& pod : Child(*pods, "items")) {
    const Json metadata = Child(pod, "metadata");
    if (Text(Child(pod, "status"), "phase") != "Running") continue;
    const std::string name = absl::StrCat(Text(metadata, "namespace"), "/pods/", Text(metadata, "name"));
    const absl::StatusOr<std::string> metrics =
        cluster.Get(absl::StrCat("/api/v1/namespaces/", name, ":9090/proxy/metrics"));
    if (metrics.ok()) {
      sample.Take(name, *metrics);
    } else {
      unseen = base::WithContext(metrics.status(), absl::StrCat("reading the metrics of ", name));
    }
  }
  if (sample.processes.empty()) return unseen;
  sample.at = std::chrono::steady_clock::now();
  std::set<std::string> functions;
  const Json listed = Json::parse(*list, nullptr, false);
  for (const Json& function : Child(listed, "functions")) {
    const Json metadata = Child(function, "metadata");
    functions.insert(absl::StrCat(Text(metadata, "namespace"), "/", Text(metadata, "name")));
  }
  for (auto& [process, of] : sample.processes)
    std::erase_if(of, [&](const auto& each) { return !functions.contains(each.first); });
  sample.functions = std::move(functions);
  return sample;
}

absl::Status AddUsageOf(const Cluster& cluster, const std::string& space, const std::string& function,
                        UsageTable& table) {
  const absl::StatusOr<std::string> body =
      function.empty() ? ListFunctions(cluster, space) : ReadFunction(cluster, function);
  if (!body.ok()) return body.status();
  const Json json = Json::parse(*body, nullptr, false);
  constexpr std::uint64_t kMicrosecondsPerMillisecond = 1'000;
  constexpr std::uint64_t kKilobyteMillisecondsPerMegabyteSecond = 1'000'000;
  for (const Json& one : function.empty() ? Child(json, "functions") : Json::array({json})) {
    const Json metadata = Child(one, "metadata");
    const Json usage = Child(Child(one, "status"), "usage");
    const auto number = [&](const char* field) {
      const Json value = usage.is_object() ? Child(usage, field) : Json();
      return value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
    };
    gateway::UsageRecord record;
    record.function = absl::StrCat(Text(metadata, "namespace"), "/", Text(metadata, "name"));
    record.sums = {.invocations = number("invocations"),
                   .wall_us = number("wallMilliseconds") * kMicrosecondsPerMillisecond,
                   .cpu_us = number("cpuMilliseconds") * kMicrosecondsPerMillisecond,
                   .memory_kb_ms = number("memoryMegabyteSeconds") * kKilobyteMillisecondsPerMegabyteSecond};
    record.until_ms = 1;
    table.Add(record);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Why(const Cluster& cluster, const std::string& function) {
  const absl::StatusOr<std::string> json = ReadFunction(cluster, function);
  if (!json.ok()) return json.status();
  const absl::StatusOr<Json> events = Parse(cluster.Get(absl::StrCat(
      "/api/v1/namespaces/", SpaceOf(cluster, function),
      "/events?fieldSelector=involvedObject.kind%3DFunction%2CinvolvedObject.name%3D", NameOf(function))));
  if (!events.ok()) return events.status();
  std::vector<WhyEvent> told;
  for (const Json& event : Child(*events, "items")) {
    std::string time = Text(event, "lastTimestamp");
    if (time.empty()) time = Text(event, "eventTime");
    told.push_back({std::move(time), Text(event, "reason"), Text(event, "message")});
  }
  return WhyText(*json, std::move(told));
}

}  // namespace mayfly::cli
