// Why a function is as it is, as `mayfly why` and `kubectl mayfly why` say it.
#pragma once

#include <string>
#include <vector>

namespace mayfly::cli {

// What was told of a function at `time`, as RFC 3339.
struct WhyEvent {
  std::string time;
  std::string reason;
  std::string message;
};

// Lines of text from what is known of one function, the JSON of the resource: its conditions, its scaling, its last failure;
// and `events`, oldest first. Takes for absent what `function` has not, or not as it should.
std::string WhyText(const std::string& function, std::vector<WhyEvent> events);

}  // namespace mayfly::cli
