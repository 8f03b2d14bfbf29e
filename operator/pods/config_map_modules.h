// The modules that ConfigMaps carry: read when they are first asked for, and again now and then.
//
// A ConfigMap is small (1 MiB) and changes rarely, so it is asked for by name instead of being watched: a watch would
// need the right to read every ConfigMap of the cluster. What changed is noticed within `refresh`.
//
// Thread-safe. Get() blocks on the API server the first time. Thread `artifacts` refreshes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "mayfly/v1/runtime.pb.h"
#include "operator/kube/client.h"

namespace mayfly::op {

struct ConfigMapModule {
  std::shared_ptr<const std::string> bytes;  // null with a problem
  std::string sha256;                        // lower-case hexadecimal
  std::optional<v1::Problem> problem;

  bool operator==(const ConfigMapModule& other) const {
    return sha256 == other.sha256 && Message() == other.Message();
  }

 private:
  std::string Message() const { return problem ? problem->message() : ""; }
};

class ConfigMapModules {
 public:
  struct Place {
    std::string space;
    std::string name;
    std::string key;

    auto operator<=>(const Place&) const = default;
  };

  ConfigMapModules(kube::Client& client, std::chrono::milliseconds refresh);
  // Stops.
  ~ConfigMapModules();

  // `changed` hears of each function whose module is another one now.
  void Start(std::function<void(const std::string& function)> changed);
  void Stop();

  // The module at `place`, which `function` uses from now on, and nothing else.
  ConfigMapModule Get(const std::string& function, const Place& place);
  void Forget(const std::string& function);

 private:
  ConfigMapModule Read(const Place& place, std::stop_token stop);
  void Run(const std::stop_token& stop);

  kube::Client& client_;
  const std::chrono::milliseconds refresh_;
  std::function<void(const std::string&)> changed_;

  std::mutex mutex_;
  std::condition_variable_any never_;
  struct Use {
    Place place;
    ConfigMapModule module;
  };
  std::map<std::string, Use> uses_;  // guarded by mutex_; by function
  std::jthread thread_;              // last: it uses all of the above
};

}  // namespace mayfly::op
