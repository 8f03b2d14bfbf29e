// mayfly-operator: the operator in a cluster. It waits until it leads, leads until it is told to end, and exits at once
// when it loses the lease: what it knew as a leader may be wrong by then, and Kubernetes starts it anew.
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "admin/admin_server.h"
#include "base/descriptor_limit.h"
#include "base/log.h"
#include "operator/bin/leadership.h"
#include "operator/bin/options.h"
#include "operator/kube/curl_transport.h"

namespace {

using namespace mayfly;
namespace log = base::log;

constexpr int kLostExitCode = 3;

// Waits for SIGTERM or SIGINT; a wake-up is SIGUSR1.
int AwaitSignal(const sigset_t& signals) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  return signal;
}

int Fail(const char* what, const absl::Status& status) {
  log::Error(what, {{"error", std::string(status.message())}});
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  op::ProgramOptions options;
  if (const auto exit_code = op::ParseOptions(argc, argv, options)) return *exit_code;
  log::Init("operator", options.log_level, options.log_format);
  // Blocked before any thread starts: signals are taken below, one at a time.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  mayfly::base::RaiseDescriptorLimit();

  const auto config = kube::LoadConfig(options.kube);
  if (!config.ok()) return Fail("no way to the API server", config.status());
  if (const absl::Status status = kube::LeaderElector::CheckOptions(options.election); !status.ok())
    return Fail("the leader election is set wrong", status);
  base::RealClock clock;
  base::Metrics metrics;
  kube::Credentials credentials(*config, clock);
  kube::CurlTransport transport(credentials, "mayfly-operator/" MAYFLY_VERSION);
  kube::RateLimiter::Limits limits;
  limits.per_second = options.queries_per_second;
  limits.burst = 2 * options.queries_per_second;
  kube::Client client(transport, metrics, clock, limits);

  admin::AdminServer admin(metrics, [] { return std::string(); });
  if (!options.admin_address.empty()) {
    if (const auto bound = admin.Start(options.admin_address); !bound.ok())
      return Fail("the admin port cannot be opened", bound.status());
  }

  std::atomic<std::int64_t> won{0};  // the epoch; 0: not yet, or taken up
  std::atomic<bool> ending{false};
  const pthread_t main_thread = pthread_self();
  kube::LeaderElector elector(client, options.election,
                              {.started =
                                   [&](std::int64_t epoch) {
                                     won = epoch;
                                     pthread_kill(main_thread, SIGUSR1);
                                   },
                               .stopped =
                                   [&](const std::string& why) {
                                     if (ending) return;
                                     log::Error("the lease is lost; this operator ends", {{"why", why}});
                                     std::_Exit(kLostExitCode);
                                   },
                               .observed =
                                   [&](const std::string& holder) {
                                     if (holder != options.election.identity)
                                       log::Info("another operator leads", {{"holder", holder}});
                                   }});
  elector.Start();
  log::Info("waits to lead", {{"identity", options.election.identity},
                              {"lease", options.election.space + "/" + options.election.name}});

  std::unique_ptr<op::Leadership> leadership;
  for (;;) {
    if (AwaitSignal(signals) != SIGUSR1) break;
    const std::int64_t epoch = won.exchange(0);
    if (epoch == 0 || leadership) continue;
    auto begun = op::Leadership::Begin(
        options, epoch, [&elector] { return elector.epoch().has_value(); }, client, clock, metrics);
    if (!begun.ok()) {
      ending = true;
      elector.Stop();  // another may have better luck
      return Fail("cannot lead", begun.status());
    }
    leadership = *std::move(begun);
  }
  log::Info("ends");
  ending = true;
  leadership.reset();
  elector.Stop();
  return 0;
}
