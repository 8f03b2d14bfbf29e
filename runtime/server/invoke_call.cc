#include "runtime/server/invoke_call.h"

#include <fmt/format.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "proto/problem.h"

namespace mayfly::runtime {
namespace {

// Room for the head and the rest of the reply.
constexpr std::size_t kLargestBody = kLargestInvokeMessage - (1u << 20);

std::string NewInvocationId() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  return fmt::format("{:016x}{:016x}", random(), random());
}

grpc::StatusCode CodeOf(const v1::Problem& not_started) {
  if (not_started.reason() == "NoModule") return grpc::StatusCode::FAILED_PRECONDITION;
  if (not_started.reason() == "Draining") return grpc::StatusCode::UNAVAILABLE;
  return grpc::StatusCode::RESOURCE_EXHAUSTED;
}

class InvokeCall final : public grpc::ServerUnaryReactor {
 public:
  InvokeCall(grpc::CallbackServerContext* context, v1::InvokeReply* reply)
      : answer_(std::make_shared<Answer>(*this, context, reply)) {}

  void Start(Replica& replica, const v1::InvokeRequest& request) {
    v1::Start start;
    start.set_invocation_id(NewInvocationId());
    *start.mutable_event() = request.event();
    if (start.event().id().empty()) start.mutable_event()->set_id(start.invocation_id());
    start.set_timeout_ms(request.timeout_ms() != 0 ? request.timeout_ms()
                                                   : static_cast<std::uint32_t>(replica.timeout().count()));
    start.set_attempt(1);
    start.set_body_size(request.body().size());
    start.set_window(kLargestBody + 1);
    const std::shared_ptr<Answer> answer = answer_;  // this object may go as soon as the invocation has begun
    answer->SetId(start.invocation_id());
    answer->Began(replica.Start(start, request.body(), true, answer));
  }

  void OnCancel() override { answer_->Cancel(); }
  void OnDone() override { delete this; }

 private:
  // Outlives the call if the pool does not let go of it at once.
  class Answer final : public ResponseSink {
   public:
    Answer(InvokeCall& call, grpc::CallbackServerContext* context, v1::InvokeReply* reply)
        : call_(call), context_(context), reply_(reply) {}

    void SetId(const std::string& id) { reply_->set_invocation_id(id); }

    void Began(std::shared_ptr<PoolCall> pool_call) {
      bool cancel = false;
      {
        const std::lock_guard lock(mutex_);
        if (finished_) return;
        pool_call_ = pool_call;
        cancel = cancelled_;
      }
      if (cancel && pool_call) pool_call->Cancel();
    }

    void Cancel() {
      std::shared_ptr<PoolCall> pool_call;
      {
        const std::lock_guard lock(mutex_);
        cancelled_ = true;
        pool_call = pool_call_;
      }
      if (pool_call) pool_call->Cancel();
    }

    void OnPart(v1::ResponsePart&& part) override {
      std::shared_ptr<PoolCall> too_large;
      std::optional<grpc::Status> status;
      {
        const std::lock_guard lock(mutex_);
        if (finished_) return;
        if (part.has_head()) *reply_->mutable_head() = std::move(*part.mutable_head());
        if (reply_->body().size() + part.data().size() > kLargestBody) {
          too_large_ = true;
          too_large = pool_call_;
        } else if (!too_large_) {
          if (reply_->body().empty()) {
            reply_->set_body(std::move(*part.mutable_data()));
          } else {
            reply_->mutable_body()->append(part.data());
          }
        }
        if (part.has_result()) {
          *reply_->mutable_result() = std::move(*part.mutable_result());
          finished_ = true;
          pool_call_.reset();
        }
        if (finished_) status = Conclude();
      }
      if (too_large) too_large->Cancel();
      if (status) call_.Finish(*status);
    }

   private:
    // Completes the reply; what the call ends with. REQUIRES: mutex_.
    grpc::Status Conclude() {
      v1::Result& result = *reply_->mutable_result();
      if (too_large_) {
        reply_->clear_body();
        result.set_outcome(v1::OUTCOME_FAILED);
        *result.mutable_problem() = v1::MakeProblem(
            "runtime", "ResponseTooLarge",
            fmt::format(
                "the response has more than {} bytes, which Invoke does not carry; use Serve, or the gateway",
                kLargestBody));
      }
      if (result.outcome() == v1::OUTCOME_NOT_STARTED) {
        return grpc::Status(CodeOf(result.problem()), result.problem().message());
      }
      const v1::Metering& metering = result.metering();
      context_->AddTrailingMetadata("mayfly-wall-ms",
                                    fmt::format("{:.3f}", static_cast<double>(metering.wall_us()) / 1e3));
      context_->AddTrailingMetadata("mayfly-cpu-ms",
                                    fmt::format("{:.3f}", static_cast<double>(metering.cpu_us()) / 1e3));
      context_->AddTrailingMetadata("mayfly-peak-rss-bytes", fmt::format("{}", metering.peak_rss_bytes()));
      return grpc::Status::OK;
    }

    // These live until Finish(), which is called once.
    InvokeCall& call_;
    grpc::CallbackServerContext* const context_;
    v1::InvokeReply* const reply_;

    std::mutex mutex_;  // guards the rest and *reply_
    std::shared_ptr<PoolCall> pool_call_;
    bool cancelled_ = false;
    bool finished_ = false;
    bool too_large_ = false;
  };

  const std::shared_ptr<Answer> answer_;
};

}  // namespace

grpc::ServerUnaryReactor* MakeInvokeCall(Replica& replica, grpc::CallbackServerContext* context,
                                         const v1::InvokeRequest* request, v1::InvokeReply* reply) {
  auto* call = new InvokeCall(context, reply);
  call->Start(replica, *request);
  return call;
}

}  // namespace mayfly::runtime
