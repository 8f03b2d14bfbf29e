// An EventRecorder writes Events, which `kubectl describe` shows beside the object that they are about.
//
// Record() only puts the note into a bounded queue; a thread of the recorder's sends it, with what an
// EventCorrelator makes of it. An event is a help to people and never worth holding anything up for: it is lost,
// and counted as such, when the queue is full, its object has too many, or the server does not take it.
//
// They are core/v1 Events: those of events.k8s.io/v1 have no lastTimestamp, by which `kubectl describe` sorts.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "operator/kube/client.h"
#include "operator/kube/event_correlator.h"

namespace mayfly::kube {

struct EventRecorderOptions {
  std::string component = "mayfly-operator";  // what `kubectl describe` calls From
  std::string instance = {};                  // this pod's name
  std::size_t queue = 1024;
  EventCorrelator::Limits limits = {};
};

class EventRecorder {
 public:
  // `client` must outlive it.
  EventRecorder(Client& client, EventRecorderOptions options);
  // Stops.
  ~EventRecorder();

  void Start();
  // Sends what waits, for at most `patience`, and drops the rest. Idempotent.
  void Stop(std::chrono::milliseconds patience = std::chrono::seconds(2));

  // Never blocks.
  void Record(EventNote note);

 private:
  void Run(std::stop_token stop);
  void Handle(const EventNote& note, std::stop_token stop);
  absl::Status Send(const EventNote& note, const EventWrite& write, std::stop_token stop);
  void Count(const char* outcome);

  Client& client_;
  const EventRecorderOptions options_;
  EventCorrelator correlator_;  // of the recorder's thread

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<EventNote> waiting_;  // guarded by mutex_
  bool closed_ = false;            // guarded by mutex_
  bool idle_ = true;               // guarded by mutex_
  std::jthread thread_;            // last: it uses all of the above
};

}  // namespace mayfly::kube
