// Departures holds back what is ready to go to replicas until whoever makes it ready has made all of it: an event loop
// that reads twenty requests in one go sends them in one message, not in twenty.
//
// Nothing waits for time: the owner calls SendAll() before it sleeps. Not thread-safe; belongs to its owner's thread.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace mayfly::gateway {

class Departures {
 public:
  // Where things go from: has what is ready sent.
  class Gate {
   public:
    virtual void Depart() = 0;

   protected:
    ~Gate() = default;
  };

  void Add(std::shared_ptr<Gate> gate) {
    if (std::find(gates_.begin(), gates_.end(), gate) == gates_.end()) gates_.push_back(std::move(gate));
  }
  bool empty() const { return gates_.empty(); }
  void SendAll() {
    for (const std::shared_ptr<Gate>& gate : gates_) gate->Depart();
    gates_.clear();
  }

 private:
  std::vector<std::shared_ptr<Gate>> gates_;
};

}  // namespace mayfly::gateway
