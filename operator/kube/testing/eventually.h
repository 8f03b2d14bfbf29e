// Eventually() waits for what another thread brings about.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/eventually.h"

namespace mayfly::kube::testing {

// As base::Eventually(), with the patience that a real API server on a busy machine wants.
inline bool Eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds within = std::chrono::seconds(20)) {
  return base::Eventually(holds, within);
}

// The keys that a handler heard, in order.
class HeardKeys {
 public:
  std::function<void(const std::string&)> Handler() {
    return [this](const std::string& key) {
      const std::lock_guard lock(mutex_);
      keys_.push_back(key);
    };
  }
  std::vector<std::string> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(keys_, {});
  }
  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return keys_.size();
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> keys_;
};

}  // namespace mayfly::kube::testing
