// Eventually() waits for what another thread or process brings about.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace mayfly::base {

// True once `holds()` is; false if it is not within `within`.
inline bool Eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds within = std::chrono::seconds(10)) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    // It looks at what has no event to wait for: another process, a file, a metric.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace mayfly::base
