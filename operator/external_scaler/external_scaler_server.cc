#include "operator/external_scaler/external_scaler_server.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/thread.h"
#include "externalscaler/externalscaler.grpc.pb.h"

namespace mayfly::op {
namespace {

namespace pb = externalscaler;

constexpr std::size_t kLongestName = 253;
constexpr int kLargestRequest = 64 << 10;

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

// The Function that a ScaledObject's trigger names: of its own namespace alone, since whoever may make ScaledObjects there
// has no business with others' load.
absl::StatusOr<std::string> FunctionOf(const pb::ScaledObjectRef& ref) {
  const auto& metadata = ref.scalermetadata();
  const auto named = metadata.find("function");
  const std::string& name = named == metadata.end() ? ref.name() : named->second;
  if (ref.namespace_().empty() || name.empty() || name.size() > kLongestName ||
      ref.namespace_().size() > kLongestName || name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(
        "the trigger's metadata.function is to be the name of a Function in the ScaledObject's namespace");
  }
  return ref.namespace_() + "/" + name;
}

class Stream;

// All streams, by the function that they are about.
class Streams {
 public:
  explicit Streams(std::size_t most) : most_(most) {}

  // False if there are as many as may be.
  bool Add(const std::shared_ptr<Stream>& stream, const std::string& function) {
    const std::lock_guard lock(mutex_);
    if (count_ >= most_) return false;
    by_function_[function].insert(stream);
    ++count_;
    return true;
  }
  void Remove(const std::shared_ptr<Stream>& stream, const std::string& function) {
    const std::lock_guard lock(mutex_);
    const auto found = by_function_.find(function);
    if (found == by_function_.end() || found->second.erase(stream) == 0) return;
    --count_;
    if (found->second.empty()) by_function_.erase(found);
  }
  std::vector<std::shared_ptr<Stream>> Of(const std::string& function) const {
    const std::lock_guard lock(mutex_);
    const auto found = by_function_.find(function);
    if (found == by_function_.end()) return {};
    return {found->second.begin(), found->second.end()};
  }
  std::vector<std::shared_ptr<Stream>> All() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Stream>> all;
    for (const auto& [function, streams] : by_function_)
      all.insert(all.end(), streams.begin(), streams.end());
    return all;
  }

 private:
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::map<std::string, std::set<std::shared_ptr<Stream>>> by_function_;  // guarded by mutex_
  std::size_t count_ = 0;                                                 // guarded by mutex_
};

class Stream final : public grpc::ServerWriteReactor<pb::IsActiveResponse>,
                     public std::enable_shared_from_this<Stream> {
 public:
  Stream(const ExternalScaler& scaler, Streams& streams, std::string function)
      : scaler_(scaler), streams_(streams), function_(std::move(function)) {}

  void Begin() {
    self_ = shared_from_this();
    if (!streams_.Add(self_, function_)) {
      return End({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many streams are open, and no more are taken"});
    }
    Look();
  }

  // Tells whether the function is active, if that is news; what is not known leaves it at what was told.
  void Look() {
    const absl::StatusOr<bool> active = scaler_.IsActive(function_);
    if (absl::IsNotFound(active.status())) return End(ToGrpc(active.status()));
    if (!active.ok()) return;
    {
      const std::lock_guard lock(mutex_);
      if (end_ || writing_ || told_ == *active) return;  // what comes of a write looks again
      told_ = *active;
      writing_ = true;
      answer_.set_result(*active);
    }
    StartWrite(&answer_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) End({grpc::StatusCode::UNAVAILABLE, "KEDA is gone"});
    {
      std::unique_lock lock(mutex_);
      writing_ = false;
      FinishIfDue(lock);
    }
    Look();
  }

  void OnCancel() override { End(grpc::Status::CANCELLED); }

  void OnDone() override {
    streams_.Remove(self_, function_);
    self_.reset();  // may end this object
  }

 private:
  void End(grpc::Status status) {
    std::unique_lock lock(mutex_);
    if (!end_) end_ = std::move(status);
    FinishIfDue(lock);
  }
  void FinishIfDue(std::unique_lock<std::mutex>& lock) {
    if (!end_ || writing_ || finished_) return;
    finished_ = true;
    const grpc::Status status = *end_;
    lock.unlock();
    Finish(status);
  }

  const ExternalScaler& scaler_;
  Streams& streams_;
  const std::string function_;
  std::shared_ptr<Stream> self_;  // until OnDone()
  pb::IsActiveResponse answer_;   // being written

  std::mutex mutex_;
  // Guarded by mutex_:
  std::optional<bool> told_;
  bool writing_ = false;
  std::optional<grpc::Status> end_;
  bool finished_ = false;
};

// Ends at once.
class Refusal final : public grpc::ServerWriteReactor<pb::IsActiveResponse> {
 public:
  explicit Refusal(grpc::Status status) { Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

class Service final : public pb::ExternalScaler::CallbackService {
 public:
  Service(const ExternalScaler& scaler, Streams& streams, base::Metrics& metrics)
      : scaler_(scaler), streams_(streams), metrics_(metrics) {}

  grpc::ServerUnaryReactor* IsActive(grpc::CallbackServerContext* context, const pb::ScaledObjectRef* ref,
                                     pb::IsActiveResponse* response) override {
    return Answer(context, "IsActive", [&]() -> absl::Status {
      const absl::StatusOr<std::string> function = FunctionOf(*ref);
      if (!function.ok()) return function.status();
      const absl::StatusOr<bool> active = scaler_.IsActive(*function);
      if (active.ok()) response->set_result(*active);
      return active.status();
    });
  }

  grpc::ServerWriteReactor<pb::IsActiveResponse>* StreamIsActive(grpc::CallbackServerContext*,
                                                                 const pb::ScaledObjectRef* ref) override {
    const absl::StatusOr<std::string> function = FunctionOf(*ref);
    Count("StreamIsActive", function.status());
    if (!function.ok()) return new Refusal(ToGrpc(function.status()));
    const auto stream = std::make_shared<Stream>(scaler_, streams_, *function);
    stream->Begin();
    return stream.get();
  }

  grpc::ServerUnaryReactor* GetMetricSpec(grpc::CallbackServerContext* context,
                                          const pb::ScaledObjectRef* ref,
                                          pb::GetMetricSpecResponse* response) override {
    return Answer(context, "GetMetricSpec", [&]() -> absl::Status {
      const absl::StatusOr<std::string> function = FunctionOf(*ref);
      if (!function.ok()) return function.status();
      const auto metrics = scaler_.Metrics(*function);
      if (!metrics.ok()) return metrics.status();
      for (const ExternalScaler::Metric& metric : *metrics) {
        pb::MetricSpec& spec = *response->add_metricspecs();
        spec.set_metricname(metric.name);
        spec.set_targetsize(std::max<std::int64_t>(1, std::llround(metric.target)));
        spec.set_targetsizefloat(metric.target);
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* GetMetrics(grpc::CallbackServerContext* context,
                                       const pb::GetMetricsRequest* request,
                                       pb::GetMetricsResponse* response) override {
    return Answer(context, "GetMetrics", [&]() -> absl::Status {
      const absl::StatusOr<std::string> function = FunctionOf(request->scaledobjectref());
      if (!function.ok()) return function.status();
      const absl::StatusOr<double> value = scaler_.Value(*function, request->metricname());
      if (!value.ok()) return value.status();
      pb::MetricValue& metric = *response->add_metricvalues();
      metric.set_metricname(request->metricname());
      metric.set_metricvalue(std::llround(std::ceil(*value)));
      metric.set_metricvaluefloat(*value);
      return absl::OkStatus();
    });
  }

 private:
  template <typename Ask>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const char* question,
                                   const Ask& ask) {
    const absl::Status status = ask();
    Count(question, status);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(status));
    return reactor;
  }

  void Count(const char* question, const absl::Status& status) {
    metrics_
        .Counter("mayfly_external_scaler_requests_total", "Questions of KEDA's, by how they were answered.",
                 {{"method", question}, {"code", absl::StatusCodeToString(status.code())}})
        .Increment();
  }

  const ExternalScaler& scaler_;
  Streams& streams_;
  base::Metrics& metrics_;
};

}  // namespace

struct ExternalScalerServer::Impl {
  Impl(const ExternalScalerOptions& options, const ExternalScaler& scaler, base::Metrics& metrics)
      : streams(options.most_streams), service(scaler, streams, metrics) {}

  Streams streams;
  Service service;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  std::jthread thread;
};

absl::StatusOr<std::unique_ptr<ExternalScalerServer>> ExternalScalerServer::Start(
    ExternalScalerOptions options, const ExternalScaler& scaler, const base::Clock& clock,
    base::Metrics& metrics) {
  auto impl = std::make_unique<Impl>(options, scaler, metrics);
  grpc::ServerBuilder builder;
  int port = -1;
  builder.AddListeningPort(
      options.address, options.credentials ? options.credentials : grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&impl->service);
  builder.SetMaxReceiveMessageSize(kLargestRequest);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(options.most_streams));
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr || port <= 0) {
    return absl::UnavailableError(
        fmt::format("cannot listen on {} for KEDA: is the address free and ours?", options.address));
  }
  impl->address = fmt::format("{}:{}", options.address.substr(0, options.address.rfind(':')), port);
  impl->thread = base::StartThread(
      "ext-scaler", [&clock, streams = &impl->streams, look = options.look](std::stop_token stop) {
        std::mutex idle;
        std::condition_variable_any never;
        while (!stop.stop_requested()) {
          for (const auto& stream : streams->All()) stream->Look();
          std::unique_lock lock(idle);
          clock.WaitUntil(lock, never, stop, clock.Now() + look, [] { return false; });
        }
      });
  return std::unique_ptr<ExternalScalerServer>(new ExternalScalerServer(std::move(impl)));
}

ExternalScalerServer::ExternalScalerServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ExternalScalerServer::~ExternalScalerServer() {
  impl_->thread.request_stop();
  impl_->thread.join();
  impl_->server->Shutdown(std::chrono::system_clock::now());  // cancels the streams, and waits for their ends
}

const std::string& ExternalScalerServer::address() const { return impl_->address; }

void ExternalScalerServer::Notice(const std::string& function) {
  for (const auto& stream : impl_->streams.Of(function)) stream->Look();
}

}  // namespace mayfly::op
