#include "gateway/control/control_client.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/backoff.h"
#include "base/host_port.h"
#include "base/log.h"
#include "base/thread.h"
#include "gateway/control/operator_addresses.h"
#include "gateway/control/report_merger.h"
#include "mayfly/v1/control.grpc.pb.h"

namespace mayfly::gateway {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{2'000};
constexpr milliseconds kGoodbye{500};
constexpr milliseconds kLookAgain{10'000};
// How long a connection may take to come about.
constexpr int kConnectMs = 2'000;
// An operator that is frozen or cut off is noticed within the sum of these.
constexpr int kKeepaliveMs = 5'000;
constexpr int kKeepaliveTimeoutMs = 3'000;

}  // namespace

struct ControlClient::Impl {
  // One stream to one operator. Reports go out one message at a time; what comes meanwhile is merged.
  class Session final : public grpc::ClientBidiReactor<v1::GatewayReport, v1::RouteUpdate> {
   public:
    Session(Impl& owner, v1::Control::Stub& stub) : owner_(owner) {
      stub.async()->Connect(&context_, this);
      AddHold();  // Report() may write until the hold is given back
      StartRead(&update_);
      StartCall();
    }

    // Writes what the merger holds, unless a write is under way. REQUIRES: `lock` holds owner's mutex; it is released.
    void Flush(std::unique_lock<std::mutex>& lock) {
      if (writing_ || closed_ || !owner_.merger.pending()) return lock.unlock();
      report_ = owner_.merger.Take(owner_.leaving);
      report_.set_leaving(owner_.leaving);
      const bool last = owner_.leaving;
      writing_ = true;  // for ever, after the last one
      ++starting_;
      lock.unlock();
      // The operator ends the stream once it has read the last report: one that is cancelled might lose it.
      last ? StartWriteLast(&report_, grpc::WriteOptions()) : StartWrite(&report_);
      lock.lock();
      --starting_;
      ReleaseIfDue(lock);
    }

    void OnWriteDone(bool ok) override {
      std::unique_lock lock(owner_.mutex);
      writing_ = report_.leaving();
      if (ok) Flush(lock);
    }

    void OnReadDone(bool ok) override {
      if (!ok) return Close();
      const absl::Status status = owner_.apply(update_);
      if (!status.ok()) {
        base::log::Error("the gateway refused the operator's routes",
                         {{"why", std::string(status.message())}});
        context_.TryCancel();
        return Close();
      }
      // A term may come before the routes.
      if (update_.version() == 0 && !update_.snapshot()) return StartRead(&update_);
      owner_.has_routes.store(true, std::memory_order_release);
      {
        const std::lock_guard lock(owner_.mutex);
        if (update_.snapshot()) owner_.merger.KeepOnly(update_);
        for (const std::string& function : update_.remove()) owner_.merger.Forget(function);
        if (!updates_.exchange(true)) owner_.changed.notify_all();
      }
      StartRead(&update_);
    }

    void OnDone(const grpc::Status& status) override {
      Impl& owner = owner_;
      const std::lock_guard lock(owner.mutex);
      status_ = status;
      owner.changed.notify_all();  // this object may be gone once the lock is
    }

    void Cancel() { context_.TryCancel(); }
    // Both REQUIRE: owner's mutex is held.
    bool done() const { return status_.has_value(); }
    const grpc::Status& status() const { return *status_; }
    bool took_updates() const { return updates_; }

   private:
    void Close() {
      std::unique_lock lock(owner_.mutex);
      closed_ = true;
      ReleaseIfDue(lock);
    }

    // Gives the hold back once nobody is about to write any more. REQUIRES: `lock` holds owner's mutex; it is released.
    void ReleaseIfDue(std::unique_lock<std::mutex>& lock) {
      const bool due = closed_ && starting_ == 0 && !released_;
      released_ = released_ || due;
      lock.unlock();
      if (due) RemoveHold();
    }

    Impl& owner_;
    grpc::ClientContext context_;
    v1::RouteUpdate update_;
    v1::GatewayReport report_;
    std::atomic<bool> updates_{false};
    bool writing_ = false;                // guarded by owner_.mutex
    bool closed_ = false;                 // guarded by owner_.mutex
    bool released_ = false;               // guarded by owner_.mutex
    int starting_ = 0;                    // guarded by owner_.mutex; calls of StartWrite()
    std::optional<grpc::Status> status_;  // guarded by owner_.mutex
  };

  Impl(ControlClientOptions its_options, std::function<absl::Status(const v1::RouteUpdate&)> its_apply,
       base::Metrics& metrics)
      : options(std::move(its_options)),
        apply(std::move(its_apply)),
        connected(
            metrics.Gauge("mayfly_gateway_operator_connected", "Whether an operator's stream is open.")),
        attempts(metrics.Counter("mayfly_gateway_operator_dials_total", "Attempts to open it.")),
        merger(options.gateway) {}

  // Dials every address in turn. True if one of them sent routes.
  bool DialAll(const std::stop_token& stop) {
    const auto targets = ResolveOperator(options.target);
    if (!targets.ok()) {
      Complain(std::string(targets.status().message()));
      return false;
    }
    std::string why;
    for (const std::string& target : *targets) {
      if (stop.stop_requested()) return false;
      if (Serve(target, stop, why)) return true;
    }
    Complain(why);
    return false;
  }

  // Holds one stream until its end. Whether routes came over it.
  bool Serve(const std::string& target, const std::stop_token& stop, std::string& why) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetMaxReceiveMessageSize(-1);  // ten thousand routes come in one update; it is our operator's
    const auto host = base::SplitHostPort(options.target);
    const std::string name = options.server_name.empty() && host ? host->host : options.server_name;
    if (options.credentials) arguments.SetSslTargetNameOverride(name);
    const auto channel = grpc::CreateCustomChannel(
        target, options.credentials ? options.credentials : grpc::InsecureChannelCredentials(), arguments);
    const auto stub = v1::Control::NewStub(channel);
    attempts.Increment();
    {
      const std::lock_guard lock(mutex);
      merger.StartAnew();
    }
    Session stream(*this, *stub);
    std::unique_lock lock(mutex);
    session = &stream;
    stream.Flush(lock);
    lock.lock();
    bool told = false;
    while (!stream.done() && !stop.stop_requested()) {
      if (stream.took_updates() && !std::exchange(told, true)) {
        connected.Set(1);
        complaint.clear();
        base::log::Info("the operator's routes are in force", {{"operator", target}});
      }
      changed.wait_for(lock, stop, kLookAgain,
                       [&] { return stream.done() || (stream.took_updates() && !told); });
    }
    if (!stream.done()) {
      // The goodbye is on its way; it is not waited for longer than this.
      changed.wait_for(lock, kGoodbye, [&] { return stream.done(); });
      stream.Cancel();
      changed.wait(lock, [&] { return stream.done(); });
    }
    session = nullptr;
    connected.Set(0);
    why = stream.status().error_message();
    return stream.took_updates();
  }

  // Says once why there is no operator.
  void Complain(const std::string& why) {
    {
      const std::lock_guard lock(mutex);
      if (complaint == why) return;
      complaint = why;
    }
    base::log::Warn("no operator; the gateway goes on with the routes it has",
                    {{"operator", options.target}, {"why", why}});
  }

  void Run(const std::stop_token& stop) {
    base::Backoff backoff(kFirstPause, kLongestPause);
    while (!stop.stop_requested()) {
      if (DialAll(stop)) backoff.Reset();
      std::unique_lock lock(mutex);
      changed.wait_for(lock, stop, backoff.Next(), [] { return false; });
    }
  }

  const ControlClientOptions options;
  const std::function<absl::Status(const v1::RouteUpdate&)> apply;
  prometheus::Gauge& connected;
  prometheus::Counter& attempts;
  std::atomic<bool> has_routes{false};

  std::mutex mutex;
  std::condition_variable_any changed;
  // Guarded by mutex:
  ReportMerger merger;
  Session* session = nullptr;
  std::string complaint;
  bool leaving = false;

  std::jthread thread;
};

ControlClient::ControlClient(ControlClientOptions options,
                             std::function<absl::Status(const v1::RouteUpdate&)> apply,
                             base::Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(apply), metrics)) {}

ControlClient::~ControlClient() { Stop(); }

void ControlClient::Start() {
  impl_->thread = base::StartThread("gw-control", [this](const std::stop_token& stop) { impl_->Run(stop); });
}

void ControlClient::Report(const v1::GatewayReport& report) {
  std::unique_lock lock(impl_->mutex);
  impl_->merger.Add(report);
  if (impl_->session != nullptr) impl_->session->Flush(lock);
}

std::string ControlClient::NotReadyReason() const {
  if (impl_->has_routes.load(std::memory_order_acquire)) return "";
  const std::lock_guard lock(impl_->mutex);
  return "no routes have come from the operator at " + impl_->options.target +
         (impl_->complaint.empty() ? "" : ": " + impl_->complaint);
}

void ControlClient::Stop() {
  if (!impl_->thread.joinable()) return;
  v1::GatewayReport goodbye;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->leaving = true;
  }
  Report(goodbye);
  impl_->thread.request_stop();
  impl_->changed.notify_all();
  impl_->thread.join();
}

}  // namespace mayfly::gateway
