// Who listens on a TCP port, for the sentence that tells a person why theirs is taken.
#pragma once

#include <cstdint>
#include <string>

namespace mayfly::base {

// Of a port that is taken: "process 4711 (nginx) holds the port; stop it, or choose another port". Other users' processes are
// seen by root only, and the sentence says so.
std::string DescribePortHolder(std::uint16_t port);

}  // namespace mayfly::base
