// A Controller runs Reconcile(key) on worker threads for every key that comes through its WorkQueue.
//
// What happens to each outcome of Reconcile:
//
//   Done()            the key rests until something adds it again; its backoff starts anew
//   After(delay)      as Done(), and the key is added again once `delay` has passed
//   Failed(status)    if the status may pass (base::IsRetriable) the key is added again with backoff:
//   exponential, with
//                     jitter, per key. Else it is logged and rests: trying the same again would fail the
//                     same, and whoever mends the cause changes the object, which adds the key
//
// An error is logged once, here, with its key. Reconcile must not throw, and must not block for longer than a
// call to the cluster takes: long work goes to an Executor, whose end adds the key again.
//
// Start() and Stop() belong to the owner's thread; RunOne() is for tests and runs on the caller's.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "base/status.h"
#include "operator/controller/work_queue.h"

namespace mayfly::op {

class Result {
 public:
  static Result Done() { return Result(); }
  static Result After(std::chrono::nanoseconds delay) {
    Result result;
    result.delay_ = delay;
    return result;
  }
  // REQUIRES: `status` is not OK.
  static Result Failed(absl::Status status) {
    Result result;
    result.status_ = std::move(status);
    return result;
  }

  const absl::Status& status() const { return status_; }
  // Zero: not again by itself.
  std::chrono::nanoseconds delay() const { return delay_; }

 private:
  absl::Status status_;
  std::chrono::nanoseconds delay_{0};
};

class Controller {
 public:
  // All that is referred to must outlive the controller. `name` names the threads; metrics tell controllers apart by
  // `kind`, what their keys are of: "function".
  Controller(std::string name, const std::string& kind, WorkQueue& queue, base::Metrics& metrics,
             const base::Clock& clock, std::function<Result(const std::string& key)> reconcile);
  // Stops.
  ~Controller();

  void Start(int workers);
  // Returns when no Reconcile runs any more. Idempotent.
  void Stop();

  // Reconciles one key that is due, if any is; whether one was.
  bool RunOne();

 private:
  void Work(const std::string& key);

  const std::string name_;
  WorkQueue& queue_;
  const base::Clock& clock_;
  const std::function<Result(const std::string&)> reconcile_;

  prometheus::Counter& done_;
  prometheus::Counter& retried_;
  prometheus::Counter& refused_;
  prometheus::Gauge& depth_;
  prometheus::Histogram& duration_;

  std::vector<std::jthread> workers_;
};

}  // namespace mayfly::op
