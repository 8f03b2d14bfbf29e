#include "operator/controller/controller.h"

#include "base/log.h"
#include "base/thread.h"

namespace mayfly::op {
namespace {

prometheus::Counter& OutcomeCounter(base::Metrics& metrics, const std::string& kind, const char* outcome) {
  return metrics.Counter("mayfly_operator_reconcile_total",
                         "Reconciles of functions and pools, by how they ended.",
                         {{"kind", kind}, {"outcome", outcome}});
}

}  // namespace

Controller::Controller(std::string name, const std::string& kind, WorkQueue& queue, base::Metrics& metrics,
                       const base::Clock& clock, std::function<Result(const std::string&)> reconcile)
    : name_(std::move(name)),
      queue_(queue),
      clock_(clock),
      reconcile_(std::move(reconcile)),
      done_(OutcomeCounter(metrics, kind, "done")),
      retried_(OutcomeCounter(metrics, kind, "retried")),
      refused_(OutcomeCounter(metrics, kind, "failed")),
      depth_(metrics.Gauge("mayfly_operator_queue_depth", "Functions and pools that wait to be reconciled.",
                           {{"kind", kind}})),
      duration_(metrics.Histogram("mayfly_operator_reconcile_seconds", "How long one reconcile took.",
                                  {{"kind", kind}}, base::Metrics::LatencyBuckets())) {}

Controller::~Controller() { Stop(); }

void Controller::Start(int workers) {
  for (int i = 0; i < workers; ++i) {
    workers_.push_back(base::StartThread(name_ + "-" + std::to_string(i), [this](std::stop_token stop) {
      while (auto key = queue_.Take(stop)) Work(*key);
    }));
  }
}

void Controller::Stop() {
  for (std::jthread& worker : workers_) worker.request_stop();
  workers_.clear();  // joins
}

bool Controller::RunOne() {
  auto key = queue_.TryTake();
  if (!key) return false;
  Work(*key);
  return true;
}

void Controller::Work(const std::string& key) {
  depth_.Set(static_cast<double>(queue_.depth()));
  const base::MonotonicTime begin = clock_.Now();
  const Result result = reconcile_(key);
  duration_.Observe(std::chrono::duration<double>(clock_.Now() - begin).count());

  if (result.status().ok()) {
    done_.Increment();
    queue_.Forget(key);
    if (result.delay().count() > 0) queue_.AddAfter(key, result.delay());
  } else if (base::IsRetriable(result.status())) {
    retried_.Increment();
    base::log::Warn("reconcile will be tried again",
                    {{"function", key}, {"error", result.status().ToString()}});
    queue_.AddWithBackoff(key);
  } else {
    refused_.Increment();
    base::log::Error("reconcile failed", {{"function", key}, {"error", result.status().ToString()}});
    queue_.Forget(key);
  }
  queue_.Done(key);
}

}  // namespace mayfly::op
