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
#include "proto/problem.h"
#include "runtime/pool/process_registry.h"
#include "runtime/pool/spawn.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;
// Beyond the order's own: the program keeps to its time, unless it hangs.
constexpr std::chrono::seconds kProgramMargin{10};
constexpr char kFetched[] = "fetched";

std::map<std::string, std::string> SettingsOfEnvironment() {
  std::map<std::string, std::string> settings;
  for (std::size_t i = 0; i < kFetchVariableCount; ++i) {
    if (const char* value = std::getenv(kFetchVariables[i])) settings[kFetchVariables[i]] = value;
  }
  return settings;
}

v1::Problem Broken(const std::string& url, std::string_view what) {
  return v1::MakeProblem("runtime", "FetchFailed",
                         fmt::format("{} cannot be fetched: {}", ShownUrl(url), what));
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

base::FileDescriptor ModuleFetcher::Fetch(const std::string& url, const std::string& sha256,
                                          Clock::time_point deadline, v1::Problem& problem) {
  if (sha256.size() != 64 || sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    problem =
        v1::MakeProblem("runtime", "BadArtifactUrl",
                        fmt::format("{} has no sha256, without which nothing is fetched", ShownUrl(url)));
    return {};
  }
  if (base::FileDescriptor file = cache_.Find(sha256)) return file;
  bool same = false;
  {
    const std::lock_guard lock(mutex_);
    same = work_ && work_->url == url && work_->sha256 == sha256;
  }
  if (!same) Begin(url, sha256);
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Work> work = work_;
  changed_.wait_until(lock, deadline, [&] { return stopped_ || work->done; });
  if (stopped_) {
    problem = Broken(url, "this runtime ends");
    return {};
  }
  if (!work->done) {
    problem = v1::MakeProblem("runtime", kReasonFetching,
                              fmt::format("{} is being fetched: {}", ShownUrl(url), work->progress));
    return {};
  }
  // Who asks after this begins anew.
  work_.reset();
  if (work->problem) {
    problem = *std::move(work->problem);
    return {};
  }
  base::FileDescriptor file = cache_.Find(sha256);
  if (!file) problem = Broken(url, "the cache had no room for it; make it larger, or load it again");
  return file;
}

void ModuleFetcher::Begin(const std::string& url, const std::string& sha256) {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  auto work = std::make_shared<Work>();
  work->url = url;
  work->sha256 = sha256;
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
    base::log::Warn("module not fetched", {{"url", ShownUrl(work->url)}, {"problem", problem->message()}});
  } else {
    base::log::Info("module fetched",
                    {{"url", ShownUrl(work->url)}, {"sha256", work->sha256}, {"took_ms", took}});
  }
  const std::lock_guard lock(mutex_);
  work->problem = std::move(problem);
  work->done = true;
  changed_.notify_all();
}

std::optional<v1::Problem> ModuleFetcher::RunProgram(const std::stop_token& stop,
                                                     const std::shared_ptr<Work>& work) {
  FetchOrder order{.url = work->url,
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
    return Broken(work->url, "mayfly-fetch cannot be told what to fetch");
  }
  const std::stop_callback wake(stop, [&stopped] { eventfd_write(stopped.get(), 1); });
  const auto pid =
      StartProgram(options_.program, {"mayfly-fetch"}, {input.get(), pipe->second.get(), null.get()});
  if (!pid.ok()) return Broken(work->url, std::string(pid.status().message()));
  ProcessRegistry::Add(*pid);
  pipe->second.Reset();

  std::optional<v1::Problem> result = Broken(work->url, "mayfly-fetch ended without an answer");
  std::string pending;
  const Clock::time_point deadline = Clock::now() + options_.timeout + kProgramMargin;
  while (!stop.stop_requested()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      result = Broken(work->url, "mayfly-fetch hangs");
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
  if (line == kFetched) {
    result.reset();
  } else if (line.starts_with("failed ")) {
    const std::size_t reason = line.find(' ') + 1;
    const std::size_t sentence = std::min(line.find(' ', reason), line.size() - 1) + 1;
    result = v1::MakeProblem("runtime", line.substr(reason, sentence - 1 - reason), line.substr(sentence));
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
