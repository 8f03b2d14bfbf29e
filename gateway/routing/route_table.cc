#include "gateway/routing/route_table.h"

#include <algorithm>

namespace mayfly::gateway {

struct RouteTable::ClaimEntry {
  std::shared_ptr<const v1::FunctionRoute> route;
  std::vector<std::string> parameter_names;
  std::vector<std::string> methods;
  std::string trigger;
  bool events = false;
};

struct RouteTable::Node {
  PersistentMap<NodePointer> literals;
  NodePointer parameter;
  // Of patterns that end here, and of those that take the rest from here; sorted by function.
  Claims here;
  Claims rest;

  bool empty() const { return literals.empty() && !parameter && here.empty() && rest.empty(); }
};

// One search: what is looked for, the way taken, and what was found.
struct RouteTable::Walk {
  const RequestPath& path;
  std::string_view method;
  RouteMatch& match;
  // Indexes of the segments that parameters took so far.
  absl::InlinedVector<std::size_t, 12> taken;
  // Where a rest begins, for the claims looked at; npos if they have none.
  std::size_t rest_from = std::string_view::npos;
};

RouteTable::NodePointer RouteTable::Changed(const NodePointer& node, const PathPattern& pattern,
                                            std::size_t depth, const std::shared_ptr<const ClaimEntry>& add,
                                            std::string_view remove) {
  auto changed = node ? std::make_shared<Node>(*node) : std::make_shared<Node>();
  const bool last = depth == pattern.segments.size();
  if (last || pattern.segments[depth].kind == PathPattern::Kind::kRest) {
    Claims& claims = last ? changed->here : changed->rest;
    if (add) {
      const auto place = std::upper_bound(
          claims.begin(), claims.end(), add,
          [](const auto& a, const auto& b) { return a->route->function() < b->route->function(); });
      claims.insert(place, add);
    } else {
      std::erase_if(claims, [&](const auto& claim) { return claim->route->function() == remove; });
    }
  } else if (pattern.segments[depth].kind == PathPattern::Kind::kParameter) {
    changed->parameter = Changed(changed->parameter, pattern, depth + 1, add, remove);
  } else {
    const std::string& text = pattern.segments[depth].text;
    const NodePointer* child = changed->literals.Find(text);
    NodePointer next = Changed(child ? *child : nullptr, pattern, depth + 1, add, remove);
    changed->literals =
        next ? changed->literals.With(text, std::move(next)) : changed->literals.Without(text);
  }
  if (changed->empty()) return nullptr;
  return changed;
}

void RouteTable::Change(std::string_view host, const PathPattern& pattern,
                        const std::shared_ptr<const ClaimEntry>& add, std::string_view remove) {
  if (host.empty()) {
    any_host_ = Changed(any_host_, pattern, 0, add, remove);
    return;
  }
  const bool wildcard = host.substr(0, 2) == "*.";
  PersistentMap<NodePointer>& roots = wildcard ? suffixes_ : hosts_;
  if (wildcard) host.remove_prefix(1);
  const NodePointer* root = roots.Find(host);
  NodePointer changed = Changed(root ? *root : nullptr, pattern, 0, add, remove);
  roots = changed ? roots.With(host, std::move(changed)) : roots.Without(host);
}

void RouteTable::Claim(std::string_view host, const PathPattern& pattern, std::vector<std::string> methods,
                       std::shared_ptr<const v1::FunctionRoute> route, std::string trigger, bool events) {
  Change(host, pattern,
         std::make_shared<const ClaimEntry>(ClaimEntry{std::move(route), pattern.ParameterNames(),
                                                       std::move(methods), std::move(trigger), events}),
         {});
}

void RouteTable::Unclaim(std::string_view host, const PathPattern& pattern, std::string_view function) {
  Change(host, pattern, nullptr, function);
}

void RouteTable::AddFunction(std::shared_ptr<const v1::FunctionRoute> route) {
  const std::string& name = route->function();
  functions_ = functions_.With(name, std::move(route));
}

void RouteTable::RemoveFunction(std::string_view function) { functions_ = functions_.Without(function); }

std::shared_ptr<const v1::FunctionRoute> RouteTable::Function(std::string_view function) const {
  const auto* found = functions_.Find(function);
  return found ? *found : nullptr;
}

std::vector<std::string> RouteTable::FunctionNames() const {
  std::vector<std::string> names;
  names.reserve(functions_.size());
  functions_.ForEach([&](const std::string& name, const auto&) { names.push_back(name); });
  return names;
}

bool RouteTable::Take(const Claims& claims, Walk& walk) {
  if (claims.empty()) return false;
  const ClaimEntry* for_all = nullptr;
  const ClaimEntry* for_get = nullptr;
  const ClaimEntry* found = nullptr;
  for (const auto& claim : claims) {
    if (claim->methods.empty()) {
      if (!for_all) for_all = claim.get();
      continue;
    }
    for (const std::string& method : claim->methods) {
      if (method == walk.method && !found) found = claim.get();
      if (method == "GET" && walk.method == "HEAD" && !for_get) for_get = claim.get();
    }
  }
  if (!found) found = for_get ? for_get : for_all;
  RouteMatch& match = walk.match;
  if (!found) {
    match.kind = RouteMatch::Kind::kMethodNotAllowed;
    for (const auto& claim : claims) {
      for (const std::string& method : claim->methods) {
        match.allow.push_back(method);
        if (method == "GET") match.allow.push_back("HEAD");
      }
    }
    return false;
  }
  match.kind = RouteMatch::Kind::kFound;
  match.route = found->route;
  match.trigger = found->trigger;
  match.events = found->events;
  match.allow.clear();
  std::size_t name = 0;
  for (const std::size_t segment : walk.taken) {
    match.parameters.emplace_back(found->parameter_names[name++], std::string(walk.path.segments()[segment]));
  }
  if (walk.rest_from != std::string_view::npos) {
    match.parameters.emplace_back(found->parameter_names[name], walk.path.Rest(walk.rest_from));
  }
  return true;
}

// Every node is reached by one way only, so a search visits each at most once.
bool RouteTable::Visit(const Node& node, std::size_t depth, Walk& walk) {
  const auto& segments = walk.path.segments();
  if (depth == segments.size()) {
    if (Take(node.here, walk)) return true;
  } else {
    if (const NodePointer* child = node.literals.Find(segments[depth])) {
      if (Visit(**child, depth + 1, walk)) return true;
    }
    if (node.parameter) {
      walk.taken.push_back(depth);
      if (Visit(*node.parameter, depth + 1, walk)) return true;
      walk.taken.pop_back();
    }
  }
  walk.rest_from = depth;
  const bool taken = Take(node.rest, walk);
  walk.rest_from = std::string_view::npos;
  return taken;
}

RouteMatch RouteTable::Match(std::string_view host, const RequestPath& path, std::string_view method) const {
  RouteMatch match;
  Walk walk{path, method, match, {}, std::string_view::npos};
  if (!hosts_.empty()) {
    const NodePointer* root = hosts_.Find(host);
    if (root && Visit(**root, 0, walk)) return match;
  }
  if (!suffixes_.empty()) {
    for (std::size_t dot = host.find('.', 1); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
      const NodePointer* root = suffixes_.Find(host.substr(dot));
      if (root && Visit(**root, 0, walk)) return match;
    }
  }
  if (any_host_ && Visit(*any_host_, 0, walk)) return match;
  std::sort(match.allow.begin(), match.allow.end());
  match.allow.erase(std::unique(match.allow.begin(), match.allow.end()), match.allow.end());
  return match;
}

}  // namespace mayfly::gateway
