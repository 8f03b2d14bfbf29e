// How long an invocation takes, learnt from what gateways report, and what requests that wait are worth by it.
//
// Requests that wait for a slot are not concurrency: 400 of them that take 100 ms each are gone in 2 s if 20 run at once.
// By Little's law (concurrency = rate × time) the slots that a function needs are those for what arrives, and those that
// take away in `drain` what waits:
//
//   demand = arrivals per second × time + waiting × time ÷ drain
//
// and never less than what runs, nor more than what runs and waits. While no invocation has ended, as of a function that
// was never called, what waits counts whole. Invocations that run on and on count as they age, not when they end: a
// backend that hangs is seen before its timeouts are.
//
// Not thread-safe. A few bytes: it outlives scaling to zero.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace mayfly::op {

// What gateways saw of one function in one tick.
struct TickLoad {
  double seconds = 0;         // how long the tick was
  double busy = 0;            // invocations that ran, on average
  double held = 0;            // requests that waited, on average
  std::uint64_t arrived = 0;  // requests that came
  std::uint64_t running = 0;  // invocations that run at its end
  std::uint64_t ended = 0;    // invocations that have ended in it
  double ended_seconds = 0;   // and what these took together
};

class ServiceTime {
 public:
  void Learn(const TickLoad& tick);
  // The mean of recent invocations, in seconds; nothing while none has ended.
  std::optional<double> seconds() const;
  // What `tick` needs, as concurrent invocations.
  double Demand(const TickLoad& tick, std::chrono::nanoseconds drain) const;

 private:
  // These fade, by half in some seconds.
  double ended_ = 0;
  double ended_seconds_ = 0;
  double busy_seconds_ = 0;
  double running_ = 0;  // this does not
};

}  // namespace mayfly::op
