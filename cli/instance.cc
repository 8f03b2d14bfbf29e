#include "cli/instance.h"

#include <httplib.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/exit_codes.h"
#include "operator/local/run_dir.h"

namespace mayfly::cli {

absl::StatusOr<Instance> Instance::Find(int port) {
  if (port == 0) {
    const char* const variable = std::getenv("PORT");
    if (variable != nullptr && !absl::SimpleAtoi(variable, &port)) {
      return absl::InvalidArgumentError(absl::StrCat("PORT=", variable, " is no port"));
    }
  }
  const std::string base = op::RunDir::DefaultBase();
  const std::vector<std::string> running = op::RunDir::Running(base);
  std::string name = absl::StrCat(port);
  if (port == 0) {
    if (running.empty()) return absl::UnavailableError("nothing runs here: start it with `mayfly up`");
    if (running.size() > 1) {
      return absl::FailedPreconditionError(absl::StrCat(
          "several run here, on ports ", absl::StrJoin(running, ", "), ": choose one with --port"));
    }
    name = running.front();
  } else if (std::find(running.begin(), running.end(), name) == running.end()) {
    return absl::UnavailableError(
        absl::StrCat("nothing of ours runs on port ", port, ": start it with `mayfly up --port ", port, "`",
                     running.empty() ? "" : "; what runs is on ", absl::StrJoin(running, ", ")));
  }
  Instance instance;
  instance.socket_ = absl::StrCat(base, "/", name, "/api.sock");
  absl::StatusOr<std::string> about = instance.Get("/v1/instance");
  if (!about.ok()) return about.status();
  const auto json = nlohmann::json::parse(*about, nullptr, false);
  if (!json.is_object() || !json.contains("url"))
    return absl::InternalError("`mayfly up` answers with nonsense");
  instance.url_ = json["url"].get<std::string>();
  return instance;
}

absl::StatusOr<std::string> Instance::Get(const std::string& path) const { return Ask("GET", path); }

absl::StatusOr<std::string> Instance::Post(const std::string& path) const { return Ask("POST", path); }

absl::StatusOr<std::string> Instance::Ask(const std::string& method, const std::string& path) const {
  httplib::Client client(socket_);
  client.set_address_family(AF_UNIX);
  constexpr int kSeconds = 10;
  client.set_connection_timeout(kSeconds);
  client.set_read_timeout(kSeconds);
  const httplib::Result result = method == "GET" ? client.Get(path.c_str()) : client.Post(path.c_str());
  if (!result) {
    return absl::UnavailableError(absl::StrCat("`mayfly up` does not answer on ", socket_, " (",
                                               httplib::to_string(result.error()), ")"));
  }
  if (result->status == 200) return result->body;
  const auto json = nlohmann::json::parse(result->body, nullptr, false);
  const std::string message = json.is_object() && json.contains("message") && json["message"].is_string()
                                  ? json["message"].get<std::string>()
                                  : absl::StrCat("`mayfly up` answers with status ", result->status);
  if (result->status == 404) {
    const char* const lists = absl::StartsWith(path, "/v1/deadletters") ? "mayfly dlq list" : "mayfly get";
    return absl::NotFoundError(absl::StrCat(message, ": `", lists, "` lists what there is"));
  }
  return absl::InternalError(message);
}

std::string KeyOf(std::string_view name) {
  if (name.find('/') != std::string_view::npos) return std::string(name);
  return absl::StrCat("default/", std::string(name));
}

int ExitCodeOf(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return kExitNothingRuns;
  if (absl::IsNotFound(status)) return kExitNotFound;
  if (absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status)) return kExitUsage;
  return kExitFailed;
}

}  // namespace mayfly::cli
