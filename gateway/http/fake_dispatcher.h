// A FakeDispatcher answers what a test tells it to, from the loop's thread or from one of its own.
//
// For tests of the HTTP front.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gateway/delivery/dispatcher.h"

namespace mayfly::gateway {

class FakeDispatcher final : public Dispatcher {
 public:
  // One invocation as the dispatcher saw it. Guarded by the dispatcher's mutex.
  struct Call {
    DispatchRequest request;
    std::shared_ptr<AnswerSink> sink;
    std::string body;
    bool body_complete = false;
    bool cancelled = false;
    bool gone = false;
    std::uint64_t granted = 0;
    std::size_t largest_write = 0;
  };
  using CallPointer = std::shared_ptr<Call>;

  // Called within Begin(), and within Write() for what came last, on the loop's thread. Empty: calls wait for
  // the test.
  std::function<void(Call&)> on_begin;
  std::function<void(Call&)> on_complete;

  std::unique_ptr<Dispatched> Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) override {
    auto call = std::make_shared<Call>();
    call->sink = std::move(sink);
    call->body = request.body;
    call->body_complete = request.body_complete;
    call->request = std::move(request);
    {
      const std::lock_guard lock(mutex_);
      calls_.push_back(call);
    }
    changed_.notify_all();
    if (on_begin) on_begin(*call);
    if (on_complete && call->body_complete) on_complete(*call);
    return std::make_unique<Handle>(*this, call);
  }

  // The `index`th call there was, once it is there and `ready` of it; nullptr if that takes more than 10 s.
  CallPointer Await(std::size_t index, const std::function<bool(const Call&)>& ready = {}) {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      return calls_.size() > index && (!ready || ready(*calls_[index]));
    });
    return came ? calls_[index] : nullptr;
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return calls_.size();
  }
  template <typename Read>
  auto With(const Call& call, Read read) {
    const std::lock_guard lock(mutex_);
    return read(call);
  }

  // A whole answer in one part.
  static v1::ResponsePart Whole(std::uint32_t status, std::string data,
                                const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    v1::ResponsePart part = Head(status, headers);
    part.set_data(std::move(data));
    part.mutable_result()->set_outcome(v1::OUTCOME_OK);
    part.mutable_result()->mutable_metering()->set_wall_us(1234);
    part.mutable_result()->mutable_metering()->set_cpu_us(7);
    part.mutable_result()->mutable_metering()->set_peak_rss_bytes(4096);
    part.mutable_result()->mutable_metering()->set_cold(true);
    return part;
  }
  static v1::ResponsePart Head(std::uint32_t status,
                               const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    v1::ResponsePart part;
    part.mutable_head()->set_status(status);
    for (const auto& [name, value] : headers) {
      v1::Pair& pair = *part.mutable_head()->add_headers();
      pair.set_name(name);
      pair.set_value(value);
    }
    return part;
  }
  static v1::ResponsePart Data(std::string data) {
    v1::ResponsePart part;
    part.set_data(std::move(data));
    return part;
  }
  static v1::ResponsePart Failure(v1::Outcome outcome, const std::string& reason,
                                  const std::string& message) {
    v1::ResponsePart part;
    part.mutable_result()->set_outcome(outcome);
    part.mutable_result()->mutable_problem()->set_component("gateway");
    part.mutable_result()->mutable_problem()->set_reason(reason);
    part.mutable_result()->mutable_problem()->set_message(message);
    return part;
  }

 private:
  class Handle final : public Dispatched {
   public:
    Handle(FakeDispatcher& owner, CallPointer call) : owner_(owner), call_(std::move(call)) {}
    ~Handle() override {
      Change([](Call& call) { call.gone = true; });
    }
    void Write(std::string data, bool end) override {
      Change([&](Call& call) {
        call.largest_write = std::max(call.largest_write, data.size());
        call.body += data;
        call.body_complete = end;
      });
      if (end && owner_.on_complete) owner_.on_complete(*call_);
    }
    void Grant(std::uint64_t bytes) override {
      Change([&](Call& call) { call.granted += bytes; });
    }
    void Cancel() override {
      Change([](Call& call) { call.cancelled = true; });
    }

   private:
    template <typename Apply>
    void Change(Apply apply) {
      {
        const std::lock_guard lock(owner_.mutex_);
        apply(*call_);
      }
      owner_.changed_.notify_all();
    }
    FakeDispatcher& owner_;
    const CallPointer call_;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<CallPointer> calls_;
};

}  // namespace mayfly::gateway
