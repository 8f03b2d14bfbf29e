// A ModuleFetcher gets a runtime the modules that are at URLs and in images: out of its cache, or by a mayfly-fetch that it
// starts.
//
// A fetch may take longer than anybody should have to wait for an answer: Fetch() waits until its deadline, says what has
// come so far, and goes on. Whoever asks again for the same joins; who asks for another ends the first.
//
// Thread-safe, but Fetch() is for one caller at a time. Thread `fetch` starts, reads and ends the program.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/file_descriptor.h"
#include "base/status.h"
#include "mayfly/v1/runtime.pb.h"
#include "runtime/artifacts/fetch_order.h"
#include "runtime/artifacts/module_cache.h"

namespace mayfly::runtime {

struct ModuleFetcherOptions {
  std::string program;                  // mayfly-fetch
  std::string folder;                   // the cache's
  std::string credentials_folder = {};  // "": none
  std::uint64_t cache_bytes = 1ull << 30;
  std::uint64_t most_bytes = 512ull << 20;  // of one module
  std::chrono::milliseconds timeout{300'000};
};

// A module of the cache, open for reading; false if there is none.
struct FetchedModule {
  base::FileDescriptor file = {};
  std::string sha256 = {};  // by which it is kept

  explicit operator bool() const { return static_cast<bool>(file); }
};

class ModuleFetcher {
 public:
  // Fetched so far: a problem with this reason is no failure.
  static constexpr char kReasonFetching[] = "ArtifactFetching";

  static absl::StatusOr<std::unique_ptr<ModuleFetcher>> Open(ModuleFetcherOptions options);
  ~ModuleFetcher();

  // The module of `source`, whose digest is `sha256` ("": nobody has said, which images alone may leave open); or nothing
  // and `problem`: kReasonFetching at `deadline`, else a reason of FetchFailure. Its content is still to be checked, and
  // to be dropped if it is wrong. A tag is looked up each time; it may have moved.
  FetchedModule Fetch(const ModuleSource& source, const std::string& sha256,
                      std::chrono::steady_clock::time_point deadline, v1::Problem& problem);
  // The file of `sha256` is not what its name says.
  void Drop(const std::string& sha256) { cache_.Drop(sha256); }

  // Ends what runs; every Fetch() from now on has a problem.
  void Stop();

 private:
  struct Work {
    ModuleSource source;
    std::string sha256;  // as it was asked for; once it is done, the module's
    bool any_sha256 = false;
    bool done = false;
    std::optional<v1::Problem> problem;
    std::string progress;
  };

  ModuleFetcher(ModuleFetcherOptions options, ModuleCache cache)
      : options_(std::move(options)), cache_(std::move(cache)) {}

  // Ends the fetch that runs, and begins this one.
  void Begin(const ModuleSource& source, const std::string& sha256);
  // What the cache has of it.
  FetchedModule FindKept(const ModuleSource& source, const std::string& sha256) const;
  void Run(const std::stop_token& stop, const std::shared_ptr<Work>& work);
  // How the program ended; nothing if it fetched the module.
  std::optional<v1::Problem> RunProgram(const std::stop_token& stop, const std::shared_ptr<Work>& work);
  void TakeLine(const std::string& line, Work& work, std::optional<v1::Problem>& result);

  const ModuleFetcherOptions options_;
  const ModuleCache cache_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Work> work_;  // the pointer and what it points to: guarded by mutex_
  bool stopped_ = false;        // guarded by mutex_
  std::jthread thread_;         // of the last work; of Fetch()'s caller, and of Stop() once that is refused
};

}  // namespace mayfly::runtime
