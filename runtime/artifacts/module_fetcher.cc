#include "runtime/artifacts/module_fetcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "proto/problem.h"
#include "runtime/artifacts/image_reference.h"
#include "runtime/pool/process_registry.h"
#include "runtime/pool/spawn.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;
// Beyond the order's own: the program keeps to its time, unless it hangs.
constexpr std::chrono::seconds kProgramMargin{10};
constexpr std::string_view kFetched = "fetched ";

std::map<std::string, std::string> SettingsOfEnvironment() {
  std::map<std::string, std::string> settings;
  for (std::size_t i = 0; i < kFetchVariableCount; ++i) {
    if (const char* value = std::getenv(kFetchVariables[i])) settings[kFetchVariables[i]] = value;
  }
  return settings;
}

v1::Problem Broken(const ModuleSource& source, std::string_view what) {
  return v1::MakeProblem("runtime", "FetchFailed",
                         fmt::format("{} cannot be fetched: {}", source.Shown(), what));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModuleFetcher>> ModuleFetcher::Open(ModuleFetcherOptions options) {
  absl::StatusOr<ModuleCache> cache = ModuleCache::Open(options.folder, options.cache_bytes);
  if (!cache.ok()) return cache.status();
  return std::unique_ptr<ModuleFetcher>(new ModuleFetcher(std::move(options), *std::move(cache)));
}

ModuleFetcher::~ModuleFetcher() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

void ModuleFetcher::Stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  thread_.request_stop();
  changed_.notify_all();
}

FetchedModule ModuleFetcher::FindKept(const ModuleSource& source, const std::string& sha256) const {
  if (!sha256.empty()) return {cache_.Find(sha256), sha256};
  const auto reference = ParseImageReference(source.image.reference);
  if (!reference || reference->digest.empty()) return {};
  const std::string module = cache_.ModuleOfImage(reference->digest);
  return module.empty() ? FetchedModule() : FetchedModule{cache_.Find(module), module};
}

FetchedModule ModuleFetcher::Fetch(const ModuleSource& source, const std::string& sha256,
                                   Clock::time_point deadline, v1::Problem& problem) {
  const bool may_be_any = sha256.empty() && !source.image.reference.empty();
  if (!may_be_any && !IsSha256(sha256)) {
    problem =
        v1::MakeProblem("runtime", "BadArtifactUrl",
                        fmt::format("{} has no sha256, without which nothing is fetched", source.Shown()));
    return {};
  }
  if (FetchedModule module = FindKept(source, sha256)) return module;
  bool same = false;
  {
    const std::lock_guard lock(mutex_);
    same = work_ && work_->source == source && (work_->any_sha256 ? sha256.empty() : work_->sha256 == sha256);
  }
  if (!same) Begin(source, sha256);
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Work> work = work_;
  changed_.wait_until(lock, deadline, [&] { return stopped_ || work->done; });
  if (stopped_) {
    problem = Broken(source, "this runtime ends");
    return {};
  }
  if (!work->done) {
    problem = v1::MakeProblem("runtime", kReasonFetching,
                              fmt::format("{} is being fetched: {}", source.Shown(), work->progress));
    return {};
  }
  // Who asks after this begins anew.
  work_.reset();
  if (work->problem) {
    problem = *std::move(work->problem);
    return {};
  }
  FetchedModule module{cache_.Find(work->sha256), work->sha256};
  if (!module) problem = Broken(source, "the cache had no room for it; make it larger, or load it again");
  return module;
}

void ModuleFetcher::Begin(const ModuleSource& source, const std::string& sha256) {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  auto work = std::make_shared<Work>();
  work->source = source;
  work->sha256 = sha256;
  work->any_sha256 = sha256.empty();
  work->progress = "nothing has come yet";
  const std::lock_guard lock(mutex_);
  work_ = work;
  if (stopped_) return;
  thread_ = base::StartThread("fetch", [this, work](const std::stop_token& stop) { Run(stop, work); });
}

void ModuleFetcher::Run(const std::stop_token& stop, const std::shared_ptr<Work>& work) {
  const Clock::time_point start = Clock::now();
  std::optional<v1::Problem> problem = RunProgram(stop, work);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  if (problem) {
    base::log::Warn("module not fetched", {{"from", work->source.Shown()}, {"problem", problem->message()}});
  } else {
    base::log::Info("module fetched",
                    {{"from", work->source.Shown()}, {"sha256", work->sha256}, {"took_ms", took}});
  }
  const std::lock_guard lock(mutex_);
  work->problem = std::move(problem);
  work->done = true;
  changed_.notify_all();
}

std::optional<v1::Problem> ModuleFetcher::RunProgram(const std::stop_token& stop,
                                                     const std::shared_ptr<Work>& work) {
  FetchOrder order{.source = work->source,
                   .sha256 = work->sha256,
                   .folder = options_.folder,
                   .cache_bytes = options_.cache_bytes,
                   .most_bytes = options_.most_bytes,
                   .credentials_folder = options_.credentials_folder,
                   .timeout = options_.timeout,
                   .settings = SettingsOfEnvironment()};
  const std::string text = Encode(order);
  base::FileDescriptor input(memfd_create("mayfly-order", MFD_CLOEXEC));
  base::FileDescriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  base::FileDescriptor stopped(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  auto pipe = MakeLogPipe();
  if (!input || !null || !stopped || !pipe.ok() || text.size() > kMaxOrderBytes ||
      pwrite(input.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return Broken(work->source, "mayfly-fetch cannot be told what to fetch");
  }
  const std::stop_callback wake(stop, [&stopped] { eventfd_write(stopped.get(), 1); });
  const auto pid =
      StartProgram(options_.program, {"mayfly-fetch"}, {input.get(), pipe->second.get(), null.get()});
  if (!pid.ok()) return Broken(work->source, std::string(pid.status().message()));
  ProcessRegistry::Add(*pid);
  pipe->second.Reset();

  std::optional<v1::Problem> result = Broken(work->source, "mayfly-fetch ended without an answer");
  std::string pending;
  const Clock::time_point deadline = Clock::now() + options_.timeout + kProgramMargin;
  while (!stop.stop_requested()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      result = Broken(work->source, "mayfly-fetch hangs");
      break;
    }
    pollfd fds[] = {{pipe->first.get(), POLLIN, 0}, {stopped.get(), POLLIN, 0}};
    const int ready = poll(fds, 2, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    if (ready <= 0) continue;
    char buffer[1024];
    const ssize_t size = read(pipe->first.get(), buffer, sizeof(buffer));
    if (size == 0) break;
    if (size < 0) continue;  // it does not block
    pending.append(buffer, static_cast<std::size_t>(size));
    std::size_t end = 0;
    while ((end = pending.find('\n')) != std::string::npos) {
      TakeLine(pending.substr(0, end), *work, result);
      pending.erase(0, end + 1);
    }
    if (pending.size() > kMaxAnswerLine) break;
  }
  KillGroup(*pid);
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  ProcessRegistry::Remove(*pid);
  ReapGroup(*pid);
  return result;
}

void ModuleFetcher::TakeLine(const std::string& line, Work& work, std::optional<v1::Problem>& result) {
  if (line.starts_with(kFetched) && IsSha256(std::string_view(line).substr(kFetched.size()))) {
    result.reset();
    const std::lock_guard lock(mutex_);
    work.sha256 = line.substr(kFetched.size());
  } else if (line.starts_with("failed ")) {
    const std::size_t reason = line.find(' ') + 1;
    const std::size_t sentence = std::min(line.find(' ', reason), line.size() - 1) + 1;
    // Servers have a say in it.
    result = v1::MakeProblem("runtime", line.substr(reason, sentence - 1 - reason),
                             base::CleanUtf8(line.substr(sentence)));
  } else if (line.starts_with("progress ")) {
    const std::size_t bytes = line.find(' ') + 1;
    const std::size_t total = std::min(line.find(' ', bytes), line.size() - 1) + 1;
    const std::string of = line.substr(total);
    const std::lock_guard lock(mutex_);
    work.progress = fmt::format("{} bytes{} have come", line.substr(bytes, total - 1 - bytes),
                                of == "0" ? "" : " of " + of);
  }
}

}  // namespace mayfly::runtime
