// mayfly-runtime: one replica of one function. See docs/architecture.md.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>

#include "admin/admin_server.h"
#include "base/lock_checks.h"
#include "base/log.h"
#include "runtime/bin/options.h"
#include "runtime/bin/process.h"
#include "runtime/pool/spare_worker.h"
#include "runtime/server/runtime_server.h"
#include "tls/identity.h"

namespace {

using namespace mayfly;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

int Fail(const std::string& what) {
  base::log::Error("mayfly-runtime cannot start", {{"error", what}});
  return 1;
}

// Lets what runs finish, until its time is up or a second signal comes.
void Drain(runtime::Replica& replica, Clock::time_point deadline) {
  constexpr milliseconds kSlice{50};
  while (replica.Drain(std::min(deadline, Clock::now() + kSlice)) > 0 && Clock::now() < deadline) {
    if (runtime::AwaitSignal(milliseconds(0)) != 0) runtime::EndAtOnce();
  }
}

}  // namespace

int main(int argc, char** argv) {
  base::SkipLockChecks();
  runtime::Options options;
  if (const auto exit_code = runtime::ParseOptions(argc, argv, options)) return *exit_code;
  base::log::Init("runtime", options.log_level, options.log_format);
  runtime::HardenProcess(options.parent_death);
  runtime::BlockSignals();
  if (const absl::Status files = runtime::CheckDescriptorLimit(); !files.ok())
    return Fail(std::string(files.message()));
  if (::access(options.worker.c_str(), X_OK) != 0) {
    return Fail(fmt::format("the worker program {} is not there; name it with --worker", options.worker));
  }

  if (::access(options.symbolizer.c_str(), X_OK) != 0) {
    base::log::Warn("the symbolizer is not there, so backtraces have offsets only; name it with --symbolizer",
                    {{"symbolizer", options.symbolizer}});
    options.symbolizer.clear();
  }

  // On this thread, which lives as long as the process.
  std::optional<runtime::SpareWorker> spare;
  if (options.spare_worker) spare.emplace(options.worker);
  base::Metrics metrics;
  auto store = runtime::ModuleStore::Open(options.state_dir + "/modules", options.worker);
  if (!store.ok()) return Fail(std::string(store.status().message()));
  // After the store, whose lock says that the folder is this runtime's alone.
  const auto temporary = runtime::MakeEmptyFolder(options.state_dir + "/tmp");
  if (!temporary.ok()) return Fail(std::string(temporary.status().message()));
  const auto fetcher = runtime::ModuleFetcher::Open(
      {.program = options.fetcher,
       .folder = options.module_cache.empty() ? options.state_dir + "/fetched" : options.module_cache,
       .credentials_folder = options.artifact_credentials,
       .cache_bytes = options.module_cache_bytes});
  if (!fetcher.ok()) return Fail(std::string(fetcher.status().message()));
  runtime::Replica replica({MAYFLY_VERSION, options.worker, options.symbolizer, *temporary, fetcher->get(),
                            spare ? &*spare : nullptr},
                           &runtime::WorkerPool::Create, **store, metrics);
  const base::RealClock clock;
  std::unique_ptr<tls::Identity> identity;
  if (!options.tls.empty()) {
    auto read = tls::Identity::FromFolder(options.tls, clock, metrics);
    if (!read.ok()) return Fail(std::string(read.status().message()));
    identity = *std::move(read);
  }
  auto server = runtime::RuntimeServer::Start(
      options.listen, replica,
      identity ? identity->ForServer({tls::kOperatorName, tls::kGatewayName}) : nullptr);
  if (!server.ok()) return Fail(std::string(server.status().message()));
  if (options.load) {
    v1::LoadReply reply;
    const absl::Status status = replica.Load(*options.load, reply);
    if (!status.ok()) return Fail(std::string(status.message()));
    if (reply.has_problem()) return Fail(reply.problem().message());
  }
  runtime::TellReady(options.ready_fd);

  admin::AdminServer admin(metrics, [&replica] { return replica.NotReadyReason(); });
  if (!options.admin.empty()) {
    if (const auto address = admin.Start(options.admin); !address.ok())
      return Fail(std::string(address.status().message()));
  }
  base::log::Info("serving", {{"address", (*server)->address()}});

  // Nobody is there any more to hear what handlers answer.
  if (runtime::AwaitSignal(std::nullopt) == SIGHUP) runtime::EndAtOnce();
  const milliseconds patience = options.drain_timeout.value_or(replica.timeout() + std::chrono::seconds(5));
  (*fetcher)->Stop();
  base::log::Info("draining", {{"timeout_ms", patience.count()}});
  Drain(replica, Clock::now() + patience);
  (*server)->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  base::log::Info("ended");
  return 0;
}
