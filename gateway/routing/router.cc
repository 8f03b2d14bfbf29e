#include "gateway/routing/router.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "absl/strings/ascii.h"

namespace mayfly::gateway {
namespace {

constexpr std::string_view kReserved = "_mayfly";

bool IsLoopback(std::string_view peer) {
  return peer.starts_with("127.") || peer == "::1" || peer.starts_with("::ffff:127.");
}

// Whether `host`, as a request has it without its port, means this machine whatever any name server says. 0.0.0.0 is what
// `mayfly up --host 0.0.0.0` calls itself.
bool IsLocalHost(std::string_view host) {
  if (host == "localhost" || host == "0.0.0.0" || host == "[::]") return true;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string address(host);
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) != 1 && ::inet_pton(AF_INET6, address.c_str(), &v6) != 1)
    return false;
  return IsLoopback(address);
}

absl::Status CheckHost(std::string_view host) {
  if (host.substr(0, 2) == "*.") host.remove_prefix(2);
  const bool known = std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' ||
           c == ':' || c == '[' || c == ']';
  });
  if (known) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("host \"{}\" must be a name in lower case, or *. and such a name", host));
}

absl::StatusOr<PathPattern> CheckTrigger(const v1::HttpTrigger& trigger) {
  if (absl::Status status = CheckHost(trigger.host()); !status.ok()) return status;
  absl::StatusOr<PathPattern> pattern = ParsePathPattern(trigger.path());
  if (pattern.ok() && !pattern->segments.empty() && pattern->segments[0].text == kReserved &&
      pattern->segments[0].kind == PathPattern::Kind::kLiteral) {
    return absl::InvalidArgumentError("paths under /_mayfly are Mayfly's own");
  }
  return pattern;
}

}  // namespace

const std::shared_ptr<const RouteTable>& Router::Reader::table() {
  if (router_.version_.load(std::memory_order_acquire) != seen_) {
    const std::lock_guard lock(router_.mutex_);
    table_ = router_.table_;
    seen_ = router_.version_.load(std::memory_order_relaxed);
  }
  return table_;
}

Router::Router(RouterOptions options)
    : options_(options), table_(std::make_shared<RouteTable>()), complete_(!options.awaits_routes) {}

std::vector<RouteProblem> Router::Apply(const v1::RouteUpdate& update) {
  // Destroyed after the lock is gone: it may be the last owner of much.
  std::shared_ptr<const RouteTable> before;
  const std::lock_guard lock(mutex_);
  auto table = std::make_shared<RouteTable>(*table_);
  if (update.snapshot()) {
    std::unordered_set<std::string_view> kept;
    for (const v1::FunctionRoute& route : update.upsert()) kept.insert(route.function());
    for (const std::string& function : table->FunctionNames()) {
      if (!kept.contains(function)) Remove(*table, function);
    }
  }
  for (const std::string& function : update.remove()) Remove(*table, function);
  for (const v1::FunctionRoute& route : update.upsert()) Upsert(*table, route);
  before = std::exchange(table_, std::move(table));
  version_.fetch_add(1, std::memory_order_release);
  if (update.snapshot()) RoutesComplete();
  return ProblemsLocked();
}

void Router::Remove(RouteTable& table, const std::string& function) {
  const std::shared_ptr<const v1::FunctionRoute> route = table.Function(function);
  if (!route) return;
  for (const v1::HttpTrigger& trigger : route->http()) {
    const absl::StatusOr<PathPattern> pattern = CheckTrigger(trigger);
    if (!pattern.ok()) continue;
    table.Unclaim(trigger.host(), *pattern, function);
    Slot slot{trigger.host(), pattern->Shape(), "*"};
    const auto give_back = [&] {
      const auto found = claimants_.find(slot);
      if (found == claimants_.end()) return;
      found->second.erase(function);
      if (found->second.size() < 2) contested_.erase(slot);
      if (found->second.empty()) claimants_.erase(found);
    };
    if (trigger.methods().empty()) give_back();
    for (const std::string& method : trigger.methods()) {
      slot.method = method;
      give_back();
    }
  }
  bad_.erase(function);
  table.RemoveFunction(function);
}

void Router::Upsert(RouteTable& table, const v1::FunctionRoute& update) {
  Remove(table, update.function());
  const auto route = std::make_shared<const v1::FunctionRoute>(update);
  const std::string& function = route->function();
  for (const v1::HttpTrigger& trigger : route->http()) {
    const absl::StatusOr<PathPattern> pattern = CheckTrigger(trigger);
    if (!pattern.ok()) {
      bad_[function].push_back(
          {function, trigger.name(), "BadRoute", std::string(pattern.status().message())});
      continue;
    }
    table.Claim(trigger.host(), *pattern, {trigger.methods().begin(), trigger.methods().end()}, route,
                trigger.name(), trigger.events());
    Slot slot{trigger.host(), pattern->Shape(), "*"};
    const auto claim = [&] {
      Claimants& claimants = claimants_[slot];
      claimants.emplace(function, trigger.name());
      if (claimants.size() > 1) contested_.insert(slot);
    };
    if (trigger.methods().empty()) claim();
    for (const std::string& method : trigger.methods()) {
      slot.method = method;
      claim();
    }
  }
  table.AddFunction(route);
}

std::shared_ptr<const RouteTable> Router::Snapshot() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

std::vector<RouteProblem> Router::Problems() const {
  const std::lock_guard lock(mutex_);
  return ProblemsLocked();
}

std::vector<RouteProblem> Router::ProblemsLocked() const {
  std::vector<RouteProblem> problems;
  for (const auto& [function, bad] : bad_) problems.insert(problems.end(), bad.begin(), bad.end());
  for (const Slot& slot : contested_) {
    const Claimants& claimants = claimants_.at(slot);
    const std::string& winner = claimants.begin()->first;
    for (auto loser = std::next(claimants.begin()); loser != claimants.end(); ++loser) {
      problems.push_back(
          {loser->first, loser->second, "RouteConflict",
           fmt::format("{} {}{} belongs to function {}, whose name comes first; give one of them another "
                       "path, host or method",
                       slot.method == "*" ? "any method" : slot.method, slot.host, slot.shape, winner)});
    }
  }
  std::sort(problems.begin(), problems.end(), [](const RouteProblem& a, const RouteProblem& b) {
    return std::tie(a.function, a.trigger, a.message) < std::tie(b.function, b.trigger, b.message);
  });
  return problems;
}

RouteMatch Router::Match(const RouteTable& table, std::string_view host, const RequestPath& path,
                         std::string_view method, std::string_view peer) const {
  const auto& segments = path.segments();
  if (segments.empty() || segments[0] != kReserved) return table.Match(host, path, method);
  RouteMatch match;
  if (!options_.by_name || segments.size() < 4 || segments[1] != "functions") return match;
  if (!options_.by_name_from_anywhere) {
    if (!IsLoopback(peer)) return match;
    if (!IsLocalHost(host)) {
      match.kind = RouteMatch::Kind::kHostNotLocal;
      return match;
    }
  }
  match.route = table.Function(fmt::format("{}/{}", segments[2], segments[3]));
  if (match.route) match.kind = RouteMatch::Kind::kFound;
  return match;
}

}  // namespace mayfly::gateway
