#include "tls/identity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <fstream>
#include <limits>
#include <mutex>
#include <sstream>
#include <thread>
#include <utility>

#include "base/file_descriptor.h"
#include "base/log.h"
#include "base/thread.h"
#include "tls/peer_verifier.h"

namespace mayfly::tls {
namespace {

namespace experimental = grpc::experimental;

// How often gRPC looks at the files in memory.
constexpr unsigned kRefreshSeconds = 1;
constexpr std::chrono::seconds kKeeperDeadline{5};
constexpr std::size_t kLargestFile = 1 << 20;

// A file of this process alone. Set() puts another in its place at once: who reads sees the one or the other.
class MemoryFile {
 public:
  absl::Status Set(const std::string& text) {
    base::FileDescriptor made(::memfd_create("mayfly-tls", MFD_CLOEXEC));
    if (!made || ::fchmod(made.get(), 0600) != 0 ||
        ::write(made.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      return base::ErrnoStatus(errno, "cannot keep a certificate in memory");
    if (!file_) {
      file_ = std::move(made);
    } else if (::dup3(made.get(), file_.get(), O_CLOEXEC) < 0) {
      return base::ErrnoStatus(errno, "cannot replace a certificate in memory");
    }
    return absl::OkStatus();
  }
  std::string path() const { return fmt::format("/proc/self/fd/{}", file_.get()); }

 private:
  base::FileDescriptor file_;
};

absl::StatusOr<std::string> ReadFile(const std::string& folder, const char* name) {
  const std::string path = folder + "/" + name;
  std::ifstream file(path);
  std::string text;
  if (file) {
    text.resize(kLargestFile);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
  }
  if (text.empty()) return absl::InvalidArgumentError(fmt::format("{} is not there, or empty", path));
  return text;
}

absl::StatusOr<Material> ReadFolder(const std::string& folder) {
  absl::StatusOr<std::string> certificate = ReadFile(folder, kCertificateFile);
  if (!certificate.ok()) return certificate.status();
  absl::StatusOr<std::string> key = ReadFile(folder, kKeyFile);
  if (!key.ok()) return key.status();
  absl::StatusOr<std::string> authorities = ReadFile(folder, kAuthoritiesFile);
  if (!authorities.ok()) return authorities.status();
  return Material{.own = {.certificate = *std::move(certificate), .key = *std::move(key)},
                  .authorities = *std::move(authorities)};
}

// A channel to where nobody can listen, kept for its interest in the certificates alone. gRPC (1.51 and later) hands
// certificates out wrongly where the first who wants them comes just as the last one goes: it calls back for "somebody"
// and "nobody" outside the lock that orders them, and the newcomer gets none, ever. With this one nobody is the last.
std::shared_ptr<grpc::Channel> MakeKeeper(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  constexpr int kNever = std::numeric_limits<int>::max();
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kNever);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kNever);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kNever);
  arguments.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, kNever);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  std::shared_ptr<grpc::Channel> keeper =
      grpc::CreateCustomChannel("unix:/dev/null/nobody", credentials, arguments);
  // It has asked for them once its one attempt has failed.
  const auto deadline = std::chrono::system_clock::now() + kKeeperDeadline;
  for (auto state = keeper->GetState(true);
       state != GRPC_CHANNEL_TRANSIENT_FAILURE && keeper->WaitForStateChange(state, deadline);)
    state = keeper->GetState(true);
  return keeper;
}

}  // namespace

struct Identity::Impl {
  Impl(const base::Clock& its_clock, base::Metrics& metrics)
      : clock(its_clock),
        expires(metrics.Gauge("mayfly_tls_certificate_expiration_timestamp_seconds",
                              "When the certificate that this process shows to the others expires.")),
        failures(
            metrics.Counter("mayfly_tls_reload_failures_total",
                            "New certificates that were not used, since something is wrong with them.")) {}

  absl::Status Replace(Material next) {
    const std::lock_guard lock(mutex);
    if (next == material) return absl::OkStatus();
    if (absl::Status status = Check(next, clock.WallNow()); !status.ok()) return status;
    // Whom to trust comes first.
    if (absl::Status status = authorities.Set(next.authorities); !status.ok()) return status;
    // Key and certificate are in one file, so that no reader sees those of different pairs.
    if (absl::Status status = pair.Set(next.own.key + "\n" + next.own.certificate); !status.ok())
      return status;
    material = std::move(next);
    const auto validity = ReadValidity(material.own.certificate);
    if (validity.ok()) {
      expires.Set(static_cast<double>(std::chrono::system_clock::to_time_t(validity->end)));
    }
    return absl::OkStatus();
  }

  void Reread(const std::string& folder) {
    absl::StatusOr<Material> next = ReadFolder(folder);
    const absl::Status status = next.ok() ? Replace(*std::move(next)) : next.status();
    const std::string said(status.message());
    if (said == complaint) return;
    complaint = said;
    if (status.ok()) {
      base::log::Info("certificates are as they should be again", {{"folder", folder}});
      return;
    }
    failures.Increment();
    base::log::Error("new certificates are not used; what was there before is",
                     {{"folder", folder}, {"why", said}});
  }

  void Watch(std::string folder, std::chrono::milliseconds look_again) {
    thread = base::StartThread("tls", [this, folder = std::move(folder), look_again](std::stop_token stop) {
      std::mutex idle;
      std::condition_variable_any never;
      while (!stop.stop_requested()) {
        {
          std::unique_lock lock(idle);
          clock.WaitUntil(lock, never, stop, clock.Now() + look_again, [] { return false; });
        }
        if (!stop.stop_requested()) Reread(folder);
      }
    });
  }

  void Provide() {
    provider = std::make_shared<experimental::FileWatcherCertificateProvider>(
        pair.path(), pair.path(), authorities.path(), kRefreshSeconds);
    keeper = MakeKeeper(ChannelCredentials());
  }

  std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials() const {
    experimental::TlsChannelCredentialsOptions options;
    options.set_certificate_provider(provider);
    options.set_check_call_host(false);  // the name of a role is not a call's host
    Fill(options, {});
    return experimental::TlsCredentials(options);
  }

  template <typename Options>
  void Fill(Options& options, std::vector<std::string> callers) const {
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
    options.set_certificate_verifier(
        experimental::ExternalCertificateVerifier::Create<PeerVerifier>(std::move(callers)));
  }

  const base::Clock& clock;
  prometheus::Gauge& expires;
  prometheus::Counter& failures;

  std::mutex mutex;
  // Guarded by mutex:
  Material material;
  MemoryFile pair;
  MemoryFile authorities;

  std::shared_ptr<experimental::FileWatcherCertificateProvider> provider;
  std::shared_ptr<grpc::Channel> keeper;
  std::string complaint;  // of `thread`
  std::jthread thread;    // last: it uses all of the above
};

Identity::Identity(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Identity::~Identity() = default;

absl::StatusOr<std::unique_ptr<Identity>> Identity::FromMaterial(Material material, const base::Clock& clock,
                                                                 base::Metrics& metrics) {
  auto impl = std::make_unique<Impl>(clock, metrics);
  if (absl::Status status = impl->Replace(std::move(material)); !status.ok()) return status;
  impl->Provide();
  return std::unique_ptr<Identity>(new Identity(std::move(impl)));
}

absl::StatusOr<std::unique_ptr<Identity>> Identity::FromFolder(std::string folder, const base::Clock& clock,
                                                               base::Metrics& metrics,
                                                               std::chrono::milliseconds look_again) {
  absl::StatusOr<Material> material = ReadFolder(folder);
  if (!material.ok()) return material.status();
  auto identity = FromMaterial(*std::move(material), clock, metrics);
  if (!identity.ok()) return base::WithContext(identity.status(), "the certificates in " + folder);
  (*identity)->impl_->Watch(std::move(folder), look_again);
  return identity;
}

absl::Status Identity::Replace(Material material) { return impl_->Replace(std::move(material)); }

std::shared_ptr<grpc::ServerCredentials> Identity::ForServer(std::vector<std::string> callers) const {
  experimental::TlsServerCredentialsOptions options(impl_->provider);
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  impl_->Fill(options, std::move(callers));
  return experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> Identity::ForChannels() const {
  return impl_->ChannelCredentials();
}

}  // namespace mayfly::tls
