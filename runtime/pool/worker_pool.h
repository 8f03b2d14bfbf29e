// A WorkerPool runs the invocations of one revision in worker processes, one invocation per worker at a time.
//
// While a function's calls are short, some may wait at a worker behind the one that it runs, under load: see pool_core.h.
//
// It owns a fork server (mayfly-worker), which maps the module and runs create() once, and the workers forked
// from it: one is started when an invocation finds none idle, up to `slots`; one that has been idle for long
// leaves. The process that owns a WorkerPool never maps user code, and takes everything a worker writes for
// hostile.
//
// The result of an invocation that crashed comes with its backtrace, or without names after
// `backtrace_timeout`; its slot, and everybody else, do not wait for that.
//
// Whatever a worker does — crash, hang, fork, close what it has, write where it should not — costs the
// invocation it runs: that one ends with a Result that says why, the worker and its descendants are killed,
// and another takes the slot.
//
// Swap: make a pool for the new revision beside the old one, send new invocations there, Drain() the old,
// destroy it.
//
// Thread-safe. Sinks are called on the pool's own thread, or on the caller's within Start(); they must not
// block.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/status.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::runtime {

class SpareWorker;

// The most slots and memory per worker that a pool is made for.
inline constexpr std::uint32_t kMostSlots = 1'000;
inline constexpr std::uint64_t kMostWorkerMemoryBytes = std::uint64_t{1} << 44;

struct PoolOptions {
  std::string worker_program;  // path of mayfly-worker
  SpareWorker* spare =
      nullptr;  // the first fork server is made of it; must outlive the pool; null: of a new process
  std::string symbolizer_program;  // path of mayfly-symbolizer; "": backtraces have offsets only
  std::string function;            // "namespace/name", for logs and metrics
  std::string revision;
  std::string module_path;  // already checked (loader/)
  std::string handler;      // "" if the module has only one
  // An existing folder, in which the pool makes the workers' TMPDIR and removes it again; "" for this process's own. What
  // a killed process leaves there is its owner's to remove.
  std::string temporary_parent;
  std::string config_json = "{}";
  std::map<std::string, std::string> environment;
  std::uint32_t slots = 1;  // at most kMostSlots
  std::chrono::milliseconds create_timeout{10'000};
  std::chrono::milliseconds fork_timeout{5'000};  // how long a fork server may take for one worker
  std::chrono::milliseconds idle_worker_lifetime{30'000};
  std::chrono::milliseconds backtrace_timeout{500};  // how long the result of a crash waits for names
  std::uint64_t worker_memory_bytes = 0;             // 0: see memory_limit.h
  std::uint32_t worker_tasks = 0;  // processes and threads of one worker; 0: 64, or 4 for each core
  // So many workers are busy before short calls wait behind others rather than wake further ones. 0: one for each core.
  std::uint32_t busy_before_waiting = 0;
  std::uint64_t temporary_bytes = std::uint64_t{2} << 30;  // what all workers together may keep in TMPDIR
  std::uint64_t max_request_bytes = 32u << 20;             // at most ipc::kMostRequestBytes
  std::uint64_t max_response_bytes = 0;                    // 0: no limit
};

// Where the steps of one answer go. Parts have no `call`: that is the owner's business.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  // The last part has a result; nothing comes after it.
  virtual void OnPart(v1::ResponsePart&& part) = 0;
  // Called after each run of OnPart() calls, to this and other sinks: nothing more comes at once, so what was
  // gathered should go out. May come once more than needed, after the last part too.
  virtual void OnFlush() {}
};

// One invocation that was given to a pool. Destroying it does not cancel it.
class PoolCall {
 public:
  virtual ~PoolCall() = default;
  // More of the body. Bytes past max_request_bytes fail the invocation with reason RequestTooLarge.
  virtual void Write(std::string_view data, bool end) = 0;
  // The sink takes `bytes` more of the response body.
  virtual void Grant(std::uint64_t bytes) = 0;
  // Kills the invocation if it has started. The sink still gets its result.
  virtual void Cancel() = 0;
};

struct LoadTimes {
  std::chrono::microseconds map{0};
  std::chrono::microseconds init{0};
};

struct PoolState {
  std::uint32_t busy = 0;
  std::uint64_t waited = 0;      // calls that were given to a worker behind another, ever
  std::uint64_t taken_back = 0;  // of these, those that went to another worker
  std::int32_t fork_server_pid = 0;
  bool forks = true;
  std::vector<v1::WorkerInfo> workers;
};

class WorkerPool {
 public:
  // Starts the fork server, maps the module and runs create(). Blocks up to options.create_timeout.
  // On failure `problem` says what the module did: CreateFailed, CreateTimedOut, CreateCrashed, LoadFailed,
  // HandlerNotFound, AbiMismatch; with component "function" or "worker". CreateKilled says nothing of the module: someone
  // killed its process, and the same again may well succeed.
  static std::unique_ptr<WorkerPool> Create(PoolOptions options, base::Metrics& metrics,
                                            v1::Problem& problem);

  // Kills what still runs and joins every thread. Sinks get their results first.
  virtual ~WorkerPool() = default;

  // Begins an invocation with the first bytes of its body. If no slot is free, or the pool drains, the sink
  // gets OUTCOME_NOT_STARTED at once.
  virtual std::shared_ptr<PoolCall> Start(const v1::Start& start, std::string_view body, bool body_complete,
                                          std::shared_ptr<ResponseSink> sink) = 0;

  // Takes no more invocations and waits, up to `deadline`, until those that run have ended and their sinks have heard; how
  // many still run.
  virtual std::uint32_t Drain(std::chrono::steady_clock::time_point deadline) = 0;

  virtual std::uint32_t slots() const = 0;
  virtual std::string_view revision() const = 0;
  // The handler's name as resolved.
  virtual std::string_view handler() const = 0;
  virtual LoadTimes load_times() const = 0;
  virtual PoolState State() const = 0;
};

}  // namespace mayfly::runtime
