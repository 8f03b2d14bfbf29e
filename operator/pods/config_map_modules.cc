#include "operator/pods/config_map_modules.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/digest.h"
#include "base/thread.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

ConfigMapModule Wrong(const char* reason, std::string message) {
  ConfigMapModule module;
  module.problem = v1::MakeProblem("operator", reason, std::move(message));
  return module;
}

}  // namespace

ConfigMapModules::ConfigMapModules(kube::Client& client, std::chrono::milliseconds refresh)
    : client_(client), refresh_(refresh) {}

ConfigMapModules::~ConfigMapModules() { Stop(); }

void ConfigMapModules::Start(std::function<void(const std::string&)> changed) {
  changed_ = std::move(changed);
  thread_ = base::StartThread("artifacts", [this](const std::stop_token& stop) { Run(stop); });
}

void ConfigMapModules::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

ConfigMapModule ConfigMapModules::Get(const std::string& function, const Place& place) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = uses_.find(function);
    if (found != uses_.end() && found->second.place == place && !found->second.module.problem)
      return found->second.module;
  }
  ConfigMapModule module = Read(place, {});
  const std::lock_guard lock(mutex_);
  uses_[function] = {place, module};
  return module;
}

void ConfigMapModules::Forget(const std::string& function) {
  const std::lock_guard lock(mutex_);
  uses_.erase(function);
}

ConfigMapModule ConfigMapModules::Read(const Place& place, std::stop_token stop) {
  const auto map =
      client_.Get(kube::ConfigMaps(), {.space = place.space, .name = place.name, .subresource = {}},
                  {.timeout = std::chrono::seconds(5), .stop = std::move(stop)});
  if (absl::IsNotFound(map.status())) {
    return Wrong(
        "ConfigMapMissing",
        fmt::format("there is no ConfigMap {} in namespace {}: make it with `kubectl create configmap {} "
                    "--from-file={}=MODULE.so`",
                    place.name, place.space, place.name, place.key));
  }
  if (!map.ok()) {
    return Wrong("ConfigMapUnreadable", fmt::format("ConfigMap {} cannot be read: {}", place.name,
                                                    std::string(map.status().message())));
  }
  const kube::JsonView binary = map->root()["binaryData"][place.key];
  if (!binary.exists()) {
    return Wrong("ConfigMapKeyMissing",
                 fmt::format("ConfigMap {} has no binaryData \"{}\": put the module under that key with "
                             "`kubectl create configmap {} --from-file={}=MODULE.so`",
                             place.name, place.key, place.name, place.key));
  }
  std::string bytes;
  const std::string_view text = binary.Text();
  if (!absl::Base64Unescape(absl::string_view(text.data(), text.size()), &bytes)) {
    return Wrong("ConfigMapUnreadable",
                 fmt::format("binaryData \"{}\" of ConfigMap {} is not base64", place.key, place.name));
  }
  ConfigMapModule module;
  module.sha256 = base::Sha256Hex(bytes);
  module.bytes = std::make_shared<const std::string>(std::move(bytes));
  return module;
}

void ConfigMapModules::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<std::pair<std::string, Place>> due;
    {
      std::unique_lock lock(mutex_);
      client_.clock().WaitUntil(lock, never_, stop, client_.clock().Now() + refresh_, [] { return false; });
      for (const auto& [function, use] : uses_) due.emplace_back(function, use.place);
    }
    for (const auto& [function, place] : due) {
      if (stop.stop_requested()) return;
      ConfigMapModule module = Read(place, stop);
      // What cannot be read for a moment stays as it was.
      if (module.problem && module.problem->reason() == "ConfigMapUnreadable") continue;
      {
        const std::lock_guard lock(mutex_);
        const auto found = uses_.find(function);
        if (found == uses_.end() || found->second.place != place || found->second.module == module) continue;
        found->second.module = std::move(module);
      }
      changed_(function);
    }
  }
}

}  // namespace mayfly::op
