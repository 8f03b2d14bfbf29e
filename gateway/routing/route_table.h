// A RouteTable says which function answers a request: by host, path and method.
//
// The most specific claim wins: an exact host over the longest matching "*.suffix" over any host; then,
// segment by segment, a literal over a {parameter} over a {rest...}; then a method that is named over all
// methods. A claim that does not take the method is passed over for a less specific one that does; only if
// none does, the method is refused. HEAD goes where GET goes unless it is claimed itself. Where two functions
// claim the same host, path and method, the one whose name comes first wins, whatever the order in which they
// came: every gateway decides alike.
//
// Values with structural sharing: a copy is cheap, changing it leaves other copies as they are. Const methods
// may be called from any number of threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/routing/path.h"
#include "gateway/routing/persistent_map.h"
#include "mayfly/v1/control.pb.h"

namespace mayfly::gateway {

struct RouteMatch {
  // kHostNotLocal: asked for by a function's name, under a host that may be another's.
  enum class Kind { kFound, kNotFound, kMethodNotAllowed, kHostNotLocal };

  Kind kind = Kind::kNotFound;
  std::shared_ptr<const v1::FunctionRoute> route;
  // The trigger whose claim it was; "" if none was asked.
  std::string trigger{};
  // Its requests bring events.
  bool events = false;
  // Percent-decoded. Names are valid as long as the table.
  std::vector<std::pair<std::string_view, std::string>> parameters;
  // If the method is not allowed: those that are, sorted.
  std::vector<std::string> allow;
};

class RouteTable {
 public:
  // Adds a claim of `route` to `pattern` at `host` ("" any, exact, or "*.suffix"), for `methods` (empty:
  // all), by its trigger of that name; `events`: what comes so brings events.
  void Claim(std::string_view host, const PathPattern& pattern, std::vector<std::string> methods,
             std::shared_ptr<const v1::FunctionRoute> route, std::string trigger = {}, bool events = false);
  // Takes back every claim of `function` to `pattern` at `host`.
  void Unclaim(std::string_view host, const PathPattern& pattern, std::string_view function);

  void AddFunction(std::shared_ptr<const v1::FunctionRoute> route);
  void RemoveFunction(std::string_view function);
  // nullptr if there is no such function ("namespace/name").
  std::shared_ptr<const v1::FunctionRoute> Function(std::string_view function) const;
  std::vector<std::string> FunctionNames() const;
  std::size_t size() const { return functions_.size(); }

  // `host` in lower case without port.
  RouteMatch Match(std::string_view host, const RequestPath& path, std::string_view method) const;

 private:
  struct Node;
  struct ClaimEntry;
  struct Walk;
  using NodePointer = std::shared_ptr<const Node>;
  using Claims = std::vector<std::shared_ptr<const ClaimEntry>>;

  static NodePointer Changed(const NodePointer& node, const PathPattern& pattern, std::size_t depth,
                             const std::shared_ptr<const ClaimEntry>& add, std::string_view remove);
  void Change(std::string_view host, const PathPattern& pattern, const std::shared_ptr<const ClaimEntry>& add,
              std::string_view remove);
  static bool Visit(const Node& node, std::size_t depth, Walk& walk);
  static bool Take(const Claims& claims, Walk& walk);

  PersistentMap<std::shared_ptr<const v1::FunctionRoute>> functions_;
  // By exact host, and by ".suffix" for "*.suffix".
  PersistentMap<NodePointer> hosts_;
  PersistentMap<NodePointer> suffixes_;
  NodePointer any_host_;
};

}  // namespace mayfly::gateway
