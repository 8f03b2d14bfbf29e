// A RouteTable is what the operator has told the gateways, and what they have confirmed.
//
// It decides who owns a route when two functions want the same one (the one that has it keeps it), publishes a
// function's route only when it changed, numbers the updates, and knows which of them every gateway has in force: the
// answer to "may this replica be drained now?". Whose the triggers are that must have one owner goes into a route on the way
// out.
//
// Thread-safe. Publish() runs on the caller's thread, updates in the order of their versions.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mayfly/v1/control.pb.h"
#include "operator/api/function.h"
#include "operator/control/gateway_link.h"
#include "operator/leases/trigger_leases.h"

namespace mayfly::op {

struct RouteConflict {
  std::string trigger;
  std::string path;
  std::string owner;  // the function that has the route
};

struct RouteClaim {
  std::vector<Trigger> granted;
  std::vector<RouteConflict> refused;
};

class RouteTable {
 public:
  // `link` and `leases` must outlive the table; without leases triggers have no owners. `wake` is called with the key of a function that has something to look at again;
  // it must not call back into the table.
  RouteTable(GatewayLink& link, std::uint64_t epoch, std::function<void(const std::string& function)> wake,
             TriggerLeases* leases = nullptr);

  // Makes `wanted` (http triggers only) the routes that `function` claims, instead of those it claimed before. Whoever
  // was refused a route that this gives up is woken.
  RouteClaim Claim(const std::string& function, const std::vector<Trigger>& wanted);

  // Makes `route` the function's route. Returns the version in which it is in force.
  std::uint64_t Put(const v1::FunctionRoute& route);
  // Publishes the function's route again if its triggers have other owners.
  void PutOwners(const std::string& function);
  // Takes the function's route away and gives up what it claimed. Returns the version in which it is gone.
  std::uint64_t Remove(const std::string& function);

  // Tells gateways which replicas of pools to connect to ahead: these, and no others.
  void PutStandby(const v1::Standby& standby);

  // Takes in which version a gateway has in force, or that it is gone.
  void Observe(const v1::GatewayReport& report);
  // Whether every gateway that was heard of has `version` in force. False while none was heard of.
  bool Confirmed(std::uint64_t version) const;
  // Who has not: the gateways' names, sorted; empty while none was heard of.
  std::vector<std::string> Lacking(std::uint64_t version) const;
  // Wakes `function` once Confirmed(version), at once if it is.
  void WakeWhenConfirmed(std::uint64_t version, const std::string& function);

 private:
  struct Owner {
    std::string function;
    std::set<std::string> methods;  // empty: all
  };

  // All REQUIRE publish_mutex_ held.
  std::uint64_t PutLocked(v1::FunctionRoute route);
  std::uint64_t PublishLocked(v1::RouteUpdate update);
  std::uint64_t ConfirmedVersionLocked() const;

  GatewayLink& link_;
  const std::uint64_t epoch_;
  const std::function<void(const std::string&)> wake_;
  TriggerLeases* const leases_;  // may be null

  std::mutex claims_mutex_;
  // By host and path without the parameters' names.
  std::unordered_map<std::string, std::vector<Owner>> owners_;         // guarded by claims_mutex_
  std::unordered_map<std::string, std::vector<std::string>> claimed_;  // guarded by claims_mutex_
  std::unordered_map<std::string, std::set<std::string>> refused_;     // guarded by claims_mutex_

  // Held while an update is published, so that versions leave in order. A link may hand in a report from within.
  std::mutex publish_mutex_;
  std::uint64_t version_ = 0;  // guarded by publish_mutex_
  struct Published {
    std::string route;  // serialised
    std::uint64_t version = 0;
  };
  std::unordered_map<std::string, Published> published_;  // guarded by publish_mutex_
  std::string standby_;                                   // guarded by publish_mutex_; serialised

  mutable std::mutex confirm_mutex_;
  std::unordered_map<std::string, std::uint64_t> confirmed_;  // guarded by confirm_mutex_; by gateway
  std::multimap<std::uint64_t, std::string> waiting_;         // guarded by confirm_mutex_
};

}  // namespace mayfly::op
