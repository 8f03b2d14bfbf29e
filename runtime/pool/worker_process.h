// What a pool knows about one fork server and about one worker. Plain data, guarded by the pool's mutex.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "mayfly/v1/runtime.pb.h"
#include "runtime/pool/channel.h"
#include "runtime/pool/log_reader.h"

namespace mayfly::runtime {

class Call;

// A mayfly-worker program that was started: a fork server, or, if the module may not be forked, a worker to be.
struct ServerProcess {
  enum class State { kCreating, kReady, kGone };

  std::uint64_t key = 0;  // in the pool's epoll
  State state = State::kCreating;
  pid_t pid = 0;  // 0 once it was reaped
  base::FileDescriptor pidfd;
  base::FileDescriptor control;
  base::FileDescriptor launch_memory;
  std::shared_ptr<LogReader> log;
  std::chrono::steady_clock::time_point started;
  std::chrono::steady_clock::time_point create_deadline;
  std::chrono::steady_clock::time_point forget_at;  // once it is gone
  bool proven = false;                              // a worker came of it
  v1::Problem fault;  // why it will not be, or why the pool ended it: what its exit does not tell
};

struct WorkerProcess {
  enum class State {
    kWanted,    // no process yet; waits for a fork server
    kStarting,  // a fork server was told
    kLive,
    kLeaving,  // was asked to end
    kKilled,   // is gone as far as the pool's slots go; waits to be reaped
  };

  std::uint64_t key = 0;  // in the pool's epoll and in spawn commands
  State state = State::kWanted;
  std::uint64_t server_key = 0;                          // of the fork server that was told
  std::chrono::steady_clock::time_point start_deadline;  // by which it has to be born then
  pid_t pid = 0;
  base::FileDescriptor pidfd;
  base::FileDescriptor doorbell;
  base::FileDescriptor log_write_end;  // until a fork server has it
  std::shared_ptr<Channel> channel;
  std::shared_ptr<LogReader> log;
  std::shared_ptr<Call> call;  // what it runs, or is about to
  std::deque<std::shared_ptr<Call>>
      waiting;              // were given to it too, and can be taken back until it has taken them
  bool spoiled = false;     // an ended call makes its channel nonsense: it is dead, or about to be
  bool begun = false;       // a look found that it had taken `call`
  std::uint32_t looks = 0;  // how often `call` was looked at
  std::chrono::steady_clock::time_point ended_at;  // when the call before `call` ended
  std::uint64_t invocations = 0;
  std::chrono::microseconds cpu_mark{0};
  std::chrono::steady_clock::time_point idle_since;
  std::chrono::steady_clock::time_point leave_deadline;
  std::chrono::steady_clock::time_point peak_read_at;
  std::uint64_t peak_bytes = 0;
  // When its use of the machine is looked at next. Pool thread only.
  std::chrono::steady_clock::time_point look_at;
  std::chrono::steady_clock::time_point look_closely_at;
};

}  // namespace mayfly::runtime
