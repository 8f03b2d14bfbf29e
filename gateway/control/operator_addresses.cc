#include "gateway/control/operator_addresses.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>

#include "base/host_port.h"

namespace mayfly::gateway {
namespace {

std::string ToTarget(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address->sa_family == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(address);
    ::inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
    return fmt::format("ipv6:[{}]:{}", text, ntohs(six->sin6_port));
  }
  const auto* four = reinterpret_cast<const sockaddr_in*>(address);
  ::inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
  return fmt::format("ipv4:{}:{}", text, ntohs(four->sin_port));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ResolveOperator(const std::string& target) {
  if (target.starts_with("unix:")) return std::vector<std::string>{target};
  const std::optional<base::HostPort> wanted = base::SplitHostPort(target);
  if (!wanted || wanted->host.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("the operator's address \"{}\" is no HOST:PORT and no unix:/path", target));
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(wanted->host.c_str(), std::to_string(wanted->port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  if (error != 0) {
    return absl::UnavailableError(
        fmt::format("the operator's address \"{}\" cannot be resolved: {}", target, ::gai_strerror(error)));
  }
  std::vector<std::string> targets;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (at->ai_family == AF_INET || at->ai_family == AF_INET6) targets.push_back(ToTarget(at->ai_addr));
  }
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  std::shuffle(targets.begin(), targets.end(), std::minstd_rand(std::random_device()()));
  return targets;
}

}  // namespace mayfly::gateway
