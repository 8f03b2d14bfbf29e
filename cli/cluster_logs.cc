#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/exit_codes.h"
#include "cli/in_cluster.h"

namespace mayfly::cli {
namespace {

// The names of the function's pods whose container has begun to run.
absl::StatusOr<std::set<std::string>> PodsOf(const Cluster& cluster, const std::string& space,
                                             const std::string& name) {
  const absl::StatusOr<std::string> body = cluster.Get(
      absl::StrCat("/api/v1/namespaces/", space, "/pods?labelSelector=mayfly.dev%2Ffunction%3D", name));
  if (!body.ok()) return body.status();
  const auto json = nlohmann::json::parse(*body, nullptr, false);
  std::set<std::string> pods;
  if (!json.is_object()) return pods;
  for (const auto& pod : json.value("items", nlohmann::json::array())) {
    const auto phase = pod.value("/status/phase"_json_pointer, std::string());
    if (phase != "Pending") pods.insert(pod.value("/metadata/name"_json_pointer, std::string()));
  }
  return pods;
}

// Prints lines of several pods, each whole.
class Printer {
 public:
  explicit Printer(bool prefix) : prefix_(prefix) {}

  void Print(const std::string& pod, std::string_view line) {
    const std::lock_guard lock(mutex_);
    if (prefix_) std::printf("[%s] ", pod.c_str());
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }

 private:
  const bool prefix_;
  std::mutex mutex_;
};

std::string LogPath(const std::string& space, const std::string& pod, const std::string& query) {
  return absl::StrCat("/api/v1/namespaces/", space, "/pods/", pod, "/log?container=runtime", query);
}

}  // namespace

absl::StatusOr<int> ShowLogs(const Cluster& cluster, const LogsRequest& request) {
  if (const auto function = ReadFunction(cluster, request.name); !function.ok()) return function.status();
  const std::string space = SpaceOf(cluster, request.name);
  const std::string name = request.name.substr(request.name.find('/') + 1);
  Printer printer(request.prefix);
  // Followed pods, each on a thread of its own, which ends with its pod's log or when this returns.
  std::map<std::string, std::jthread> followed;
  std::string query = absl::StrCat("&tailLines=", request.tail);
  for (;;) {
    const absl::StatusOr<std::set<std::string>> pods = PodsOf(cluster, space, name);
    if (!pods.ok()) return pods.status();
    for (const std::string& pod : *pods) {
      if (followed.contains(pod)) continue;
      const auto print = [&printer, pod](std::string_view line) { printer.Print(pod, line); };
      if (!request.follow) {
        const absl::Status status = cluster.Follow(LogPath(space, pod, query), print, {});
        // It may have gone since it was listed.
        if (!status.ok() && !absl::IsNotFound(status)) return status;
        continue;
      }
      followed[pod] = std::jthread(
          [&cluster, path = LogPath(space, pod, query + "&follow=true"), print](const std::stop_token& stop) {
            static_cast<void>(cluster.Follow(path, print, stop));
          });
    }
    if (!request.follow) {
      if (pods->empty())
        std::fputs("No pod runs, so there is no log: the next request starts one.\n", stderr);
      return kExitOk;
    }
    if (std::ferror(stdout) != 0) return kExitOk;
    std::erase_if(followed, [&](const auto& each) { return !pods->contains(each.first); });
    query = "";  // of a pod that comes now, everything
    // Pods that come are asked for, not watched: a person reads this, and Ctrl-C ends it.
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace mayfly::cli
