// Eventually() waits for what another thread brings about.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace mayfly::kube::testing {

// True once `holds()` is; false if it is not within `within`.
inline bool Eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds within = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
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
