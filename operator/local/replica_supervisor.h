// A ReplicaSupervisor runs the runtimes of a LocalCluster: child processes on Unix sockets.
//
// One thread, alive as long as the supervisor, starts every child (a child dies when the thread that started
// it does), reads what it writes, hears that it is ready or has ended, and kills what outstays its grace. So
// a replica costs no thread, and `kill -9` of this process ends all of them.
//
// A runtime says that it serves by writing a byte to the descriptor given with --ready-fd. Each replica has a
// folder <dir>/<id> with its socket and state, which goes when its process has.
//
// Thread-safe. Callbacks run on the supervisor's thread, one at a time, and must not block.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"
#include "base/status.h"
#include "operator/controller/cluster.h"
#include "operator/local/child_process.h"

namespace mayfly::op {

struct ReplicaSupervisorOptions {
  std::string program;                 // path of mayfly-runtime
  std::vector<std::string> arguments;  // before those that the supervisor adds
  std::vector<std::string> environment;
  std::string dir;  // exists; replicas' folders go here
  std::chrono::milliseconds start_timeout{10'000};
  std::size_t max_replicas = 4'096;
  // The replicas of this function changed.
  std::function<void(const std::string& function)> changed;
  // One line that a replica wrote, without its newline, cut at 16 KiB.
  std::function<void(const std::string& function, const std::string& replica, std::string_view line)> line;
};

class ReplicaSupervisor {
 public:
  static absl::StatusOr<std::unique_ptr<ReplicaSupervisor>> Start(ReplicaSupervisorOptions options);
  // Ends every replica: SIGTERM, and SIGKILL a moment later. Returns when all are reaped and their files
  // gone.
  ~ReplicaSupervisor();

  // Makes a replica and returns its name at once; `changed` is called when it runs or failed.
  absl::StatusOr<std::string> Create(const std::string& function);
  // Takes the replica off the list at once. SIGTERM now, SIGKILL after `grace`; nothing if there is no such
  // replica.
  void Delete(const std::string& replica, std::chrono::milliseconds grace);
  std::vector<Replica> List(const std::string& function) const;
  // Replicas whose process has not been reaped yet, deleted ones included.
  std::size_t Processes(const std::string& function) const;

 private:
  struct Entry {
    Replica view;
    std::uint64_t id = 0;
    bool deleted = false;  // off the list; the entry stays until the process is reaped
    bool ended = false;
    std::chrono::milliseconds grace{0};
  };
  struct Process;
  class Loop;

  explicit ReplicaSupervisor(ReplicaSupervisorOptions options) : options_(std::move(options)) {}
  void Wake();

  const ReplicaSupervisorOptions options_;
  base::FileDescriptor wake_;
  base::FileDescriptor epoll_;

  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;                       // by replica name; guarded by mutex_
  std::multimap<std::string, std::string> names_by_function_;  // guarded by mutex_
  std::vector<std::string> to_start_;                          // guarded by mutex_
  std::vector<std::string> to_stop_;                           // guarded by mutex_
  std::uint64_t next_id_ = 1;                                  // guarded by mutex_

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::op
