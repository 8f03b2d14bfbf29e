// What `helm test` asks: does a gateway answer there? The images have no other program that could.
#pragma once

#include <chrono>
#include <string>

#include "base/status.h"

namespace mayfly::gateway {

// OK if an HTTP server at HOST:PORT answers a request within `patience`, whatever it says.
absl::Status CheckAnswers(const std::string& address, std::chrono::milliseconds patience);

}  // namespace mayfly::gateway
