// The Router keeps the routes in force and changes them under running requests.
//
// Updates build a new table that shares what did not change with the old one, and publish it; requests keep
// the table they began with. A reader keeps a Reader, whose table() costs one atomic load while nothing
// changes.
//
// Beside its own routes, a function can be reached at /_mayfly/functions/NAMESPACE/NAME, with anything after
// it, by any method, if `by_name` is on, the client is on this machine, and it calls this machine localhost or by a loopback
// address: a browser here would call it otherwise for a page whose name was made to resolve to 127.0.0.1. Routes of functions
// under /_mayfly are refused.
//
// Thread-safe; a Reader belongs to one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/routing/route_table.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

struct RouterOptions {
  // Whether /_mayfly/functions/NAMESPACE/NAME reaches functions, past their triggers: on for local mode.
  bool by_name = false;
  // Then for clients on other machines too, not only for those on this one, and under any host.
  bool by_name_from_anywhere = false;
  // Whether what has no route yet may still get one: until the first snapshot, or RoutesComplete().
  bool awaits_routes = false;
};

// A trigger that gets no requests, or not all it asks for, and why.
struct RouteProblem {
  std::string function;
  std::string trigger;
  // CamelCase: RouteConflict or BadRoute.
  std::string reason;
  std::string message;

  bool operator==(const RouteProblem&) const = default;
};

class Router {
 public:
  // What one thread reads routes through. The router must outlive it.
  class Reader {
   public:
    explicit Reader(const Router& router) : router_(router) {}
    // The table in force.
    const std::shared_ptr<const RouteTable>& table();

   private:
    const Router& router_;
    std::uint64_t seen_ = 0;
    std::shared_ptr<const RouteTable> table_;
  };

  explicit Router(RouterOptions options = {});

  // Puts `update` in force, and returns every problem that there is now, sorted by function and trigger.
  std::vector<RouteProblem> Apply(const v1::RouteUpdate& update);

  // All that was there at the start has its routes.
  void RoutesComplete() { complete_.store(true, std::memory_order_release); }
  // Whether a path that has no route in a table which is looked up from now on is nobody's.
  bool complete() const { return complete_.load(std::memory_order_acquire); }

  std::shared_ptr<const RouteTable> Snapshot() const;
  std::vector<RouteProblem> Problems() const;

  // Routes a request of the client at the IP address `peer` by `table`: by name if that is on and asked for, else by its
  // routes.
  RouteMatch Match(const RouteTable& table, std::string_view host, const RequestPath& path,
                   std::string_view method, std::string_view peer) const;

 private:
  // host, shape of the path and method ("*" for all), each of which one function can have.
  struct Slot {
    std::string host;
    std::string shape;
    std::string method;
    auto operator<=>(const Slot&) const = default;
  };
  // function → trigger.
  using Claimants = std::map<std::string, std::string>;

  // REQUIRES: mutex_ is held, for these three.
  void Remove(RouteTable& table, const std::string& function);
  void Upsert(RouteTable& table, const v1::FunctionRoute& route);
  std::vector<RouteProblem> ProblemsLocked() const;

  const RouterOptions options_;

  // Guards what follows, up to version_.
  mutable std::mutex mutex_;
  std::shared_ptr<const RouteTable> table_;
  std::map<Slot, Claimants> claimants_;
  std::set<Slot> contested_;
  // Triggers whose path or host cannot be understood, by function.
  std::map<std::string, std::vector<RouteProblem>> bad_;

  std::atomic<bool> complete_;
  // Grows with each table; written under mutex_.
  std::atomic<std::uint64_t> version_{1};
};

}  // namespace mayfly::gateway
