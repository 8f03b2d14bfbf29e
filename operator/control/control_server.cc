#include "operator/control/control_server.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/thread.h"
#include "mayfly/v1/control.grpc.pb.h"
#include "operator/control/control_hub.h"

namespace mayfly::op {
namespace {

// Everything one gateway can want at once: demand of 10,000 functions is about a megabyte.
constexpr int kLargestReport = 16 << 20;
constexpr std::size_t kLongestName = 256;
// A peer that is frozen or cut off is noticed within the sum of these.
constexpr int kKeepaliveMs = 5'000;
constexpr int kKeepaliveTimeoutMs = 3'000;

using Reactor = grpc::ServerBidiReactor<v1::GatewayReport, v1::RouteUpdate>;

class Stream final : public Reactor, public ControlStream, public std::enable_shared_from_this<Stream> {
 public:
  explicit Stream(ControlHub& hub) : hub_(hub) {}

  void Begin() {
    self_ = shared_from_this();
    hub_.Add(self_);
    StartRead(&report_);
  }

  void Note(const std::string& function) override {
    const std::lock_guard lock(mutex_);
    if (!snapshot_) changed_.insert(function);
  }

  void NoteStandby() override {
    const std::lock_guard lock(mutex_);
    if (!snapshot_) standby_changed_ = true;
  }

  void NoteTerm(const v1::LeaseTerm& term) override {
    const std::lock_guard lock(mutex_);
    term_ = term;
    known_ = true;
  }

  void Flush() override {
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        if (end_ || !known_) return;
        if (writing_) {
          again_ = true;
          return;
        }
        writing_ = true;  // nobody else writes from here on
        again_ = false;
      }
      update_.Clear();
      const bool any = hub_.Fill(
          [this](bool open) {
            const std::lock_guard lock(mutex_);
            ControlHub::Wanted wanted{.term = std::exchange(term_, std::nullopt)};
            if (!open) return wanted;
            wanted.snapshot = std::exchange(snapshot_, false);
            wanted.functions = std::exchange(changed_, {});
            wanted.standby = std::exchange(standby_changed_, false);
            return wanted;
          },
          update_);
      if (any) return StartWrite(&update_);
      if (!Written()) return;
    }
  }

  void Supersede() override { End({grpc::StatusCode::ABORTED, "another stream of this gateway has come"}); }

  void OnReadDone(bool ok) override {
    if (!ok) return End(grpc::Status::OK);
    if (report_.gateway().empty() || report_.gateway().size() > kLongestName) {
      return End({grpc::StatusCode::INVALID_ARGUMENT, "a report without the name of its gateway"});
    }
    hub_.Report(self_, report_);
    bool is_first = false;
    {
      const std::lock_guard lock(mutex_);
      // What a gateway has by leases is in its routes before it is answered.
      is_first = !known_ && report_.lease_probe() == 0;
      known_ = known_ || is_first;
    }
    if (is_first) Flush();
    StartRead(&report_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) End({grpc::StatusCode::UNAVAILABLE, "the gateway is gone"});
    Written();
    Flush();
  }

  void OnCancel() override { End(grpc::Status::CANCELLED); }

  void OnDone() override {
    hub_.Remove(self_);
    self_.reset();  // may end this object
  }

 private:
  // Whether somebody wanted to write meanwhile.
  bool Written() {
    std::unique_lock lock(mutex_);
    writing_ = false;
    const bool again = again_;
    FinishIfDue(lock);
    return again;
  }

  void End(grpc::Status status) {
    std::unique_lock lock(mutex_);
    if (!end_) end_ = std::move(status);
    FinishIfDue(lock);
  }

  // Finish() must not meet a Flush() that is between its look at `end_` and its write.
  void FinishIfDue(std::unique_lock<std::mutex>& lock) {
    if (!end_ || writing_ || finished_) return;
    finished_ = true;
    const grpc::Status status = *end_;
    lock.unlock();
    Finish(status);
  }

  ControlHub& hub_;
  std::shared_ptr<Stream> self_;  // until OnDone()
  v1::GatewayReport report_;      // being read, or taken in
  v1::RouteUpdate update_;        // being filled, or written

  std::mutex mutex_;
  // Guarded by mutex_:
  bool known_ = false;    // what the gateway has said of itself was taken in
  bool snapshot_ = true;  // all is to be sent
  std::optional<v1::LeaseTerm> term_;
  std::set<std::string> changed_;
  bool standby_changed_ = false;
  bool writing_ = false;
  bool again_ = false;  // Flush() came while writing_
  std::optional<grpc::Status> end_;
  bool finished_ = false;
};

// Ends at once a stream that is one too many.
class Refusal final : public Reactor {
 public:
  explicit Refusal(grpc::Status status) { Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

class Service final : public v1::Control::CallbackService {
 public:
  Service(ControlHub& hub, std::size_t most) : hub_(hub), most_(most) {}

  Reactor* Connect(grpc::CallbackServerContext*) override {
    if (hub_.size() >= most_) {
      return new Refusal({grpc::StatusCode::RESOURCE_EXHAUSTED,
                          fmt::format("{} gateways are connected, and no more are taken", most_)});
    }
    const auto stream = std::make_shared<Stream>(hub_);
    stream->Begin();
    return stream.get();
  }

 private:
  ControlHub& hub_;
  const std::size_t most_;
};

}  // namespace

struct ControlServer::Impl {
  Impl(const ControlServerOptions& options, const base::Clock& clock, base::Metrics& metrics)
      : hub(clock, metrics, options.forget_after), service(hub, options.most_gateways) {}

  ControlHub hub;
  Service service;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  std::jthread thread;
};

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(ControlServerOptions options,
                                                                    const base::Clock& clock,
                                                                    base::Metrics& metrics) {
  auto impl = std::make_unique<Impl>(options, clock, metrics);
  grpc::ServerBuilder builder;
  int port = -1;
  builder.AddListeningPort(
      options.address, options.credentials ? options.credentials : grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&impl->service);
  builder.SetMaxReceiveMessageSize(kLargestReport);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 2);
  impl->server = builder.BuildAndStart();
  const bool is_unix = options.address.starts_with("unix:");
  if (impl->server == nullptr || (!is_unix && port <= 0)) {
    return absl::UnavailableError(
        fmt::format("cannot listen on {} for gateways: is the address free and ours?", options.address));
  }
  impl->address = is_unix ? options.address
                          : fmt::format("{}:{}", options.address.substr(0, options.address.rfind(':')), port);
  impl->thread = base::StartThread("control", [hub = &impl->hub](std::stop_token stop) { hub->Run(stop); });
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() {
  impl_->server->Shutdown(std::chrono::system_clock::now());  // cancels the streams, and waits for their ends
  impl_->thread.request_stop();
  impl_->thread.join();
}

const std::string& ControlServer::address() const { return impl_->address; }

void ControlServer::Publish(const v1::RouteUpdate& update) { impl_->hub.Publish(update); }

void ControlServer::Open() { impl_->hub.Open(); }

void ControlServer::Answer(const std::string& gateway, std::uint64_t epoch, const v1::LeaseTerm& term) {
  impl_->hub.Answer(gateway, epoch, term);
}

void ControlServer::OnReport(std::function<void(const v1::GatewayReport&)> report) {
  impl_->hub.OnReport(std::move(report));
}

}  // namespace mayfly::op
