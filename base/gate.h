// A Gate lets work in until it is closed, and then waits for the work that is inside.
//
// It is the first half of every stop: Close() refuses what is new, Wait() returns when what was let in is
// done. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

namespace mayfly::base {

class Gate {
 public:
  // Work that is inside the gate. Leaves when destroyed; empty if the gate was closed.
  class Pass {
   public:
    Pass() = default;
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      if (this != &other) {
        Leave();
        gate_ = std::exchange(other.gate_, nullptr);
      }
      return *this;
    }
    ~Pass() { Leave(); }
    explicit operator bool() const { return gate_ != nullptr; }

   private:
    friend class Gate;
    explicit Pass(Gate* gate) : gate_(gate) {}
    void Leave();
    Gate* gate_ = nullptr;
  };

  // REQUIRES: nothing is inside when the gate is destroyed.
  ~Gate();

  // Lets the caller in, or returns an empty pass if the gate is closed.
  Pass Enter();
  // Refuses all further Enter(). Idempotent.
  void Close();
  // Waits until nothing is inside or `deadline` has come; true if nothing is.
  bool WaitUntil(std::chrono::steady_clock::time_point deadline);
  std::size_t inside() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  std::size_t inside_ = 0;
  bool closed_ = false;
};

}  // namespace mayfly::base
