// Paths, as routes describe them and as requests carry them.
//
// A request's path is matched in its normal form, so that no two spellings of one path reach different
// functions:
//   - it must begin with "/"; percent-encodings must be complete;
//   - segments are percent-decoded and compared as bytes ("/caf%C3%A9" is "/café");
//   - "//" counts as "/", "." and ".." segments (however encoded) are resolved, a trailing "/" is ignored;
//   - refused: "%2F" and "%5C" (a slash that is none), "\", NUL, control bytes, "#", and ".." above the root.
// The function still sees the path as it was sent.
//
// A route's path is "/literal/{parameter}/{rest...}": a parameter takes one segment that is not empty, a rest
// takes all that follow, none included, and comes last.
//
// Functions here are pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/status.h"

namespace mayfly::gateway {

// A request's path in normal form. Keeps views into what was parsed: neither copied nor moved.
class RequestPath {
 public:
  RequestPath() = default;
  RequestPath(const RequestPath&) = delete;
  RequestPath& operator=(const RequestPath&) = delete;

  // Replaces this by `raw`, a path without its query, which must outlive this. kInvalidArgument with a
  // sentence for the client if it is refused.
  absl::Status Parse(std::string_view raw);

  const absl::InlinedVector<std::string_view, 12>& segments() const { return segments_; }
  bool trailing_slash() const { return trailing_slash_; }

  // The segments from `first` on, joined by "/", with the trailing slash if there was one.
  std::string Rest(std::size_t first) const;

 private:
  absl::InlinedVector<std::string_view, 12> segments_;
  std::string decoded_;
  bool trailing_slash_ = false;
};

struct PathPattern {
  enum class Kind { kLiteral, kParameter, kRest };
  struct Segment {
    Kind kind;
    // A literal's text, percent-decoded; a parameter's name.
    std::string text;
  };

  std::vector<Segment> segments;

  // The names of its parameters, in order.
  std::vector<std::string> ParameterNames() const;
  // "/users/{}" for "/users/{id}": equal for patterns that match the same paths.
  std::string Shape() const;
};

// kInvalidArgument with a sentence that says what is wrong.
absl::StatusOr<PathPattern> ParsePathPattern(std::string_view text);

}  // namespace mayfly::gateway
