// A WatchStream cuts what a watch sends into events.
//
// The server sends one JSON object a line: {"type": "ADDED", "object": {…}}. Bytes come as the network brings
// them. An event that is cut off, longer than kMaxLine or of a type that nobody knows ends the stream with an
// error; what came before it counts.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/clock.h"
#include "base/status.h"
#include "operator/kube/json.h"

namespace mayfly::kube {

struct WatchEvent {
  enum class Type {
    kAdded,
    kModified,
    kDeleted,
    kBookmark,  // `object` has nothing but a resourceVersion: all before it was sent
  };

  Type type;
  JsonView object;              // valid during the call that gets the event
  base::MonotonicTime arrived;  // when its last bytes came
};

class WatchStream {
 public:
  // etcd keeps no object over 1.5 MiB; as JSON it may be several times that.
  static constexpr std::size_t kMaxLine = 16u << 20;

  // Reads on, and calls `on_event` for each event that is whole. An ERROR event becomes its status. After an
  // error nothing more may be read.
  absl::Status Feed(std::string_view bytes, absl::FunctionRef<void(const WatchEvent&)> on_event);

  // The connection ended: kUnavailable if it did so within an event.
  absl::Status Finish() const;

 private:
  absl::Status ReadLine(std::string_view line, base::MonotonicTime arrived,
                        absl::FunctionRef<void(const WatchEvent&)> on_event);

  std::string rest_;  // a line that has no end yet
  JsonDocument document_;
};

}  // namespace mayfly::kube
