// A TriggerKey says whose events these are. A cursor and what is stored belong to this name, and stay when the function
// is deleted and made again.
#pragma once

#include <compare>
#include <string>
#include <utility>

namespace mayfly::gateway {

struct TriggerKey {
  std::string function;  // "namespace/name"
  std::string trigger;

  auto operator<=>(const TriggerKey&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const TriggerKey& key) {
    return H::combine(std::move(h), key.function, key.trigger);
  }
};

}  // namespace mayfly::gateway
