#include "gateway/delivery/engine_context.h"

#include <algorithm>

namespace mayfly::gateway {

void FunctionSlots::SetRoute(std::shared_ptr<const v1::FunctionRoute> to) {
  route = std::move(to);
  limit = 0;
  if (route == nullptr) return;
  std::size_t slots = 0;
  for (const v1::Endpoint& endpoint : route->endpoints()) slots += endpoint.slots();
  // As many again as run are held in front of the replicas: that is the demand by which they become more.
  const std::size_t ahead =
      std::max<std::size_t>(slots, route->concurrency() > 0 ? route->concurrency() : 10);
  // Requests of people wait in the same queue, and find room there.
  const std::size_t hold =
      route->hold_limit() > 0 ? std::max<std::size_t>(1, route->hold_limit() / 4) : ahead;
  limit = slots + std::min(ahead, hold);
}

std::uint64_t EngineContext::NextRandom() {
  // SplitMix64.
  std::uint64_t z = random += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

std::chrono::milliseconds RetryDelay(const v1::RetryPolicy& policy, std::uint32_t failures,
                                     std::uint64_t random) {
  std::uint64_t cap = policy.min_backoff_ms();
  const std::uint64_t most = std::max<std::uint64_t>(policy.max_backoff_ms(), cap);
  for (std::uint32_t n = 1; n < failures && cap < most; ++n) cap *= 2;
  cap = std::min(cap, most);
  return std::chrono::milliseconds(cap == 0 ? 0 : random % (cap + 1));
}

}  // namespace mayfly::gateway
