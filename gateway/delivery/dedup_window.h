// A DedupWindow remembers which events were done lately, so that a source which hands one out again (an acknowledgement
// was lost, a lease ran out) does not have it handled again.
//
// 16 bytes of a digest stand for (source, id). Bounded by time and by number: what is forgotten early may be handled
// twice, never lost. Belongs to one thread; time is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/clock.h"

namespace mayfly::gateway {

class DedupWindow {
 public:
  DedupWindow(std::chrono::milliseconds window, std::size_t most) : window_(window), most_(most) {}

  static std::string Key(std::string_view source, std::string_view id);

  bool Contains(const std::string& key, base::MonotonicTime now);
  void Add(const std::string& key, base::MonotonicTime now);
  std::size_t size() const { return keys_.size(); }

 private:
  void Forget(base::MonotonicTime now);

  const std::chrono::milliseconds window_;
  const std::size_t most_;
  std::unordered_set<std::string> keys_;
  std::deque<std::pair<base::MonotonicTime, std::string>> order_;
};

}  // namespace mayfly::gateway
