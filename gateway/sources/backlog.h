// A Backlog is how many events wait at a source, or that this is not known.
//
// Waiting are those that the source has not handed out, and those that it has and that are not settled. Unknown is a
// value of its own: nothing shrinks to zero on a number that nobody has.
#pragma once

#include <cstdint>
#include <string>

namespace mayfly::gateway {

struct Backlog {
  enum class Kind { kUnknown, kValue, kError };

  Kind kind = Kind::kUnknown;
  std::uint64_t value = 0;  // with kValue
  std::string error;        // with kError: the server's own words, for people

  static Backlog Of(std::uint64_t value) { return {Kind::kValue, value, {}}; }
  static Backlog Unknown() { return {}; }
  static Backlog Error(std::string text) { return {Kind::kError, 0, std::move(text)}; }

  bool operator==(const Backlog&) const = default;
};

}  // namespace mayfly::gateway
