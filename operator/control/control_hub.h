// What the ControlServer's streams share: the routes as they are, who is connected, and whom reports go to.
//
// Lock order: a stream's mutex is taken under the hub's, never the other way round. The listener is called with
// neither.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/metrics.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::op {

// One gateway's stream, as the hub sees it.
class ControlStream {
 public:
  virtual ~ControlStream() = default;
  // The route of `function` changed. Called with the hub's mutex.
  virtual void Note(const std::string& function) = 0;
  // Which replicas stand by has changed. Called with the hub's mutex.
  virtual void NoteStandby() = 0;
  // The gateway is to hear of its term, and may hear of all else from now on. Called with the hub's mutex.
  virtual void NoteTerm(const v1::LeaseTerm& term) = 0;
  // Writes what there is to write, unless a write is under way. Called without any lock.
  virtual void Flush() = 0;
  // Ends the stream: another one of the same gateway has come. Called without any lock.
  virtual void Supersede() = 0;
};

class ControlHub {
 public:
  ControlHub(const base::Clock& clock, base::Metrics& metrics, std::chrono::milliseconds forget_after);

  void Publish(const v1::RouteUpdate& update);
  void Open();
  void Answer(const std::string& gateway, std::uint64_t epoch, const v1::LeaseTerm& term);
  void OnReport(std::function<void(const v1::GatewayReport&)> report);

  void Add(const std::shared_ptr<ControlStream>& stream);
  void Remove(const std::shared_ptr<ControlStream>& stream);
  std::size_t size() const;

  // Fills `update` with the routes of `take()`'s functions, or with all if `snapshot`, under the lock that Publish()
  // holds: what it says about its version is true; with a term alone it has none. False if nothing is to be sent yet. `take` is
  // called with the hub's mutex, and with whether routes may be sent.
  struct Wanted {
    bool snapshot = false;
    std::set<std::string> functions{};
    bool standby = false;
    std::optional<v1::LeaseTerm> term{};
  };
  bool Fill(const std::function<Wanted(bool open)>& take, v1::RouteUpdate& update);

  // A report that came over `stream`.
  void Report(const std::shared_ptr<ControlStream>& stream, const v1::GatewayReport& report);

  // Forgets gateways that do not come back, until `stop` is requested.
  void Run(const std::stop_token& stop);

 private:
  struct Gateway {
    std::weak_ptr<ControlStream> stream;
    bool connected = true;
    base::MonotonicTime forget_at{};  // if it is not connected
  };

  void Tell(const v1::GatewayReport& report);
  // How many are not connected. REQUIRES: mutex_ is held.
  std::size_t Away() const;

  const base::Clock& clock_;
  const std::chrono::milliseconds forget_after_;
  prometheus::Gauge& connected_;
  prometheus::Counter& updates_;
  prometheus::Counter& reports_;

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  // Guarded by mutex_:
  std::unordered_map<std::string, std::shared_ptr<const v1::FunctionRoute>> routes_;
  v1::Standby standby_;
  std::uint64_t epoch_ = 0;
  std::uint64_t version_ = 0;
  bool open_ = false;
  std::set<std::shared_ptr<ControlStream>> streams_;
  std::map<std::string, Gateway> gateways_;  // by name

  std::mutex listener_mutex_;
  std::function<void(const v1::GatewayReport&)> listener_;  // guarded by listener_mutex_
};

}  // namespace mayfly::op
