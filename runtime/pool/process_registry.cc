#include "runtime/pool/process_registry.h"

#include <mutex>
#include <set>

namespace mayfly::runtime {
namespace {

struct Registry {
  std::mutex mutex;
  std::set<pid_t> pids;
};

Registry& Instance() {
  static Registry registry;
  return registry;
}

}  // namespace

bool ProcessRegistry::Add(pid_t pid) {
  Registry& registry = Instance();
  const std::lock_guard lock(registry.mutex);
  return registry.pids.insert(pid).second;
}

void ProcessRegistry::Remove(pid_t pid) {
  Registry& registry = Instance();
  const std::lock_guard lock(registry.mutex);
  registry.pids.erase(pid);
}

}  // namespace mayfly::runtime
