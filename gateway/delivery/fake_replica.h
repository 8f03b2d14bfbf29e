// A FakeReplica is a runtime for tests: a real gRPC server with Serve on a Unix socket, whose handler is the
// test.
//
// It also keeps the books that a real one cannot be trusted with: what was started, how often, and how many
// ran at once. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

class FakeReplica {
 public:
  // What each invocation that it answers is said to have cost.
  static constexpr std::uint64_t kWallUs = 1500;
  static constexpr std::uint64_t kCpuUs = 700;

  enum class Behaviour {
    kAnswer,   // status 200 with the request's body, at once when it is complete
    kWait,     // started, then waits for Release()
    kRefuse,   // OUTCOME_NOT_STARTED
    kSilence,  // started, never answers
    kGarble,   // started, and answered with bytes that are no message
  };

  explicit FakeReplica(std::string socket_path, std::uint32_t slots = 1);
  ~FakeReplica();

  // Listens. A replica that was killed can be started again.
  void Start();
  // As kill -9: every connection breaks, the socket is gone.
  void Kill();
  // From now on each stream ends at its next message, of which nothing is taken, with status OK: as a runtime
  // that shuts down in order. Streams opened later live.
  void EndAtNextMessage();

  std::string address() const { return "unix:" + path_; }

  void Behave(Behaviour behaviour);
  // Tells every stream the new number of slots.
  void SetSlots(std::uint32_t slots, bool draining = false);
  // The revision that it says it has, from the next SetSlots() on.
  void SetRevision(const std::string& revision);
  // Answers `count` of those that wait, the oldest first.
  void Release(std::size_t count = 1);
  // Sends `part` (its call is filled in) to the call with this invocation id.
  void Send(const std::string& invocation_id, v1::ResponsePart part);

  // What the replica saw.
  struct Seen {
    std::vector<std::string> started;  // invocation ids, in order
    std::uint32_t running = 0;
    std::uint32_t most_running = 0;
    std::uint32_t cancels = 0;
    std::uint32_t streams = 0;       // so far
    std::uint32_t open_streams = 0;  // now
    std::uint64_t window = 0;        // granted by `window` parts and starts
    std::string body;                // of all calls, in order of arrival
    std::uint64_t ends = 0;
  };
  Seen seen() const;
  // Waits until `condition` holds for what was seen; false after ten seconds.
  bool WaitFor(const std::function<bool(const Seen&)>& condition) const;

 private:
  struct Impl;

  const std::string path_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::gateway
