// Who listens on a TCP port, for the sentence that tells a person why theirs is taken.
#pragma once

#include <cstdint>
#include <string>

namespace mayfly::gateway {

// "process 4711 (nginx)", or "" if it cannot be found: other users' processes are seen by root only.
std::string DescribePortHolder(std::uint16_t port);

}  // namespace mayfly::gateway
