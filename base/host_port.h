// Addresses as command lines and manifests give them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mayfly::base {

struct HostPort {
  std::string host;  // without brackets; may be empty
  std::uint16_t port = 0;

  bool operator==(const HostPort&) const = default;
};

// "HOST:PORT", or "[ADDRESS]:PORT" for IPv6. Nothing if `text` is neither; whether the host exists is not asked.
std::optional<HostPort> SplitHostPort(std::string_view text);

}  // namespace mayfly::base
