#include "operator/reconcilers/route_table.h"

#include <algorithm>
#include <limits>

#include "proto/stable_bytes.h"

namespace mayfly::op {
namespace {

// "/users/{id}" and "/users/{name}" match the same requests: names are taken out.
std::string RouteKey(const HttpTrigger& trigger) {
  std::string key = trigger.host + " ";
  bool inside = false;
  for (std::size_t i = 0; i < trigger.path.size(); ++i) {
    const char c = trigger.path[i];
    if (c == '{') {
      inside = true;
      key += c;
    } else if (c == '}') {
      inside = false;
      if (trigger.path.compare(i < 3 ? 0 : i - 3, 3, "...") == 0) key += "...";
      key += c;
    } else if (!inside) {
      key += c;
    }
  }
  return key;
}

bool Overlap(const std::set<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return true;
  return std::any_of(b.begin(), b.end(), [&](const std::string& method) { return a.contains(method); });
}

}  // namespace

RouteTable::RouteTable(GatewayLink& link, std::uint64_t epoch, std::function<void(const std::string&)> wake,
                       TriggerLeases* leases)
    : link_(link), epoch_(epoch), wake_(std::move(wake)), leases_(leases) {}

RouteClaim RouteTable::Claim(const std::string& function, const std::vector<Trigger>& wanted) {
  RouteClaim claim;
  std::set<std::string> woken;
  {
    std::lock_guard lock(claims_mutex_);
    const std::vector<std::string> before = std::exchange(claimed_[function], {});
    for (const std::string& key : before) {
      auto& owners = owners_[key];
      std::erase_if(owners, [&](const Owner& owner) { return owner.function == function; });
    }
    for (const Trigger& trigger : wanted) {
      if (!trigger.http) continue;
      const std::string key = RouteKey(*trigger.http);
      auto& owners = owners_[key];
      const auto clash = std::find_if(owners.begin(), owners.end(), [&](const Owner& owner) {
        return owner.function != function && Overlap(owner.methods, trigger.http->methods);
      });
      if (clash != owners.end()) {
        claim.refused.push_back(
            {.trigger = trigger.name, .path = trigger.http->path, .owner = clash->function});
        refused_[key].insert(function);
        continue;
      }
      owners.push_back(
          {.function = function, .methods = {trigger.http->methods.begin(), trigger.http->methods.end()}});
      claimed_[function].push_back(key);
      claim.granted.push_back(trigger);
    }
    // What was given up may be wanted by others: they look again, and the first one gets it.
    const auto& now = claimed_[function];
    for (const std::string& key : before) {
      const auto others = refused_.find(key);
      if (others != refused_.end() &&
          std::count(now.begin(), now.end(), key) < std::count(before.begin(), before.end(), key)) {
        woken.insert(others->second.begin(), others->second.end());
        refused_.erase(others);
      }
      if (const auto empty = owners_.find(key); empty != owners_.end() && empty->second.empty())
        owners_.erase(empty);
    }
    if (now.empty()) claimed_.erase(function);
  }
  woken.erase(function);
  for (const std::string& other : woken) wake_(other);
  return claim;
}

std::uint64_t RouteTable::Put(const v1::FunctionRoute& route) {
  std::lock_guard lock(publish_mutex_);
  return PutLocked(route);
}

void RouteTable::PutOwners(const std::string& function) {
  std::lock_guard lock(publish_mutex_);
  const auto published = published_.find(function);
  v1::FunctionRoute route;
  if (published != published_.end() && route.ParseFromString(published->second.route))
    PutLocked(std::move(route));
}

std::uint64_t RouteTable::PutLocked(v1::FunctionRoute route) {
  if (leases_ != nullptr) leases_->Stamp(&route);
  std::string bytes = v1::StableBytes(route);
  Published& published = published_[route.function()];
  if (published.version != 0 && published.route == bytes) return published.version;
  // Noted before it is published: the link may hand in a report that confirms it from within.
  published.route = std::move(bytes);
  published.version = version_ + 1;
  if (leases_ != nullptr) leases_->Published(route.function(), version_ + 1);
  v1::RouteUpdate update;
  *update.add_upsert() = std::move(route);
  return PublishLocked(std::move(update));
}

std::uint64_t RouteTable::Remove(const std::string& function) {
  Claim(function, {});
  std::lock_guard lock(publish_mutex_);
  if (published_.erase(function) == 0) return version_;
  if (leases_ != nullptr) {
    leases_->Remove(function);
    leases_->Published(function, version_ + 1);
  }
  v1::RouteUpdate update;
  update.add_remove(function);
  return PublishLocked(std::move(update));
}

void RouteTable::PutStandby(const v1::Standby& standby) {
  std::string bytes = v1::StableBytes(standby);
  const std::lock_guard lock(publish_mutex_);
  if (standby_ == bytes) return;
  standby_ = std::move(bytes);
  v1::RouteUpdate update;
  *update.mutable_standby() = standby;
  PublishLocked(std::move(update));
}

std::uint64_t RouteTable::PublishLocked(v1::RouteUpdate update) {
  update.set_version(++version_);
  update.set_epoch(epoch_);
  const std::uint64_t version = version_;
  link_.Publish(update);
  return version;
}

void RouteTable::Observe(const v1::GatewayReport& report) {
  std::vector<std::string> woken;
  {
    std::lock_guard lock(confirm_mutex_);
    if (report.leaving()) {
      confirmed_.erase(report.gateway());
    } else {
      // What it says of another operator's versions is no word on ours.
      std::uint64_t& confirmed = confirmed_[report.gateway()];
      if (report.confirmed_epoch() == epoch_) confirmed = std::max(confirmed, report.confirmed_version());
    }
    if (confirmed_.empty()) return;
    const std::uint64_t everywhere = ConfirmedVersionLocked();
    const auto end = waiting_.upper_bound(everywhere);
    for (auto it = waiting_.begin(); it != end; ++it) woken.push_back(it->second);
    waiting_.erase(waiting_.begin(), end);
  }
  for (const std::string& function : woken) wake_(function);
}

bool RouteTable::Confirmed(std::uint64_t version) const {
  std::lock_guard lock(confirm_mutex_);
  return !confirmed_.empty() && ConfirmedVersionLocked() >= version;
}

std::vector<std::string> RouteTable::Lacking(std::uint64_t version) const {
  std::vector<std::string> lacking;
  std::lock_guard lock(confirm_mutex_);
  for (const auto& [gateway, confirmed] : confirmed_) {
    if (confirmed < version) lacking.push_back(gateway);
  }
  std::sort(lacking.begin(), lacking.end());
  return lacking;
}

void RouteTable::WakeWhenConfirmed(std::uint64_t version, const std::string& function) {
  {
    std::lock_guard lock(confirm_mutex_);
    const auto [begin, end] = waiting_.equal_range(version);
    if (std::any_of(begin, end, [&](const auto& entry) { return entry.second == function; })) return;
    if (confirmed_.empty() || ConfirmedVersionLocked() < version) {
      waiting_.emplace(version, function);
      return;
    }
  }
  wake_(function);
}

std::uint64_t RouteTable::ConfirmedVersionLocked() const {
  std::uint64_t least = confirmed_.empty() ? 0 : std::numeric_limits<std::uint64_t>::max();
  for (const auto& [gateway, version] : confirmed_) least = std::min(least, version);
  return least;
}

}  // namespace mayfly::op
