// A Transport that answers from a script, for tests of what a real API server cannot be made to do.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "operator/kube/transport.h"

namespace mayfly::kube::testing {

class FakeTransport final : public Transport {
 public:
  using Answer = std::function<absl::StatusOr<HttpResponse>(const HttpRequest&, const TransferOptions&)>;

  // Answers come in this order; the last one stays.
  void Then(Answer answer) {
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(answer));
  }
  void ThenAnswer(int code, std::string body, std::optional<std::chrono::seconds> retry_after = {}) {
    Then([=](const HttpRequest&, const TransferOptions& options) -> absl::StatusOr<HttpResponse> {
      if (code < 300 && options.on_bytes) {
        if (options.on_begin) options.on_begin();
        options.on_bytes(body);
        return HttpResponse{.code = code};
      }
      return HttpResponse{.code = code, .body = body, .retry_after = retry_after};
    });
  }
  // The answer of a watch that sends `body` and then nothing until it is stopped.
  void ThenHang(std::string body) {
    Then([=](const HttpRequest&, const TransferOptions& options) -> absl::StatusOr<HttpResponse> {
      if (options.on_begin) options.on_begin();
      if (!options.on_bytes(body)) return HttpResponse{.code = 200};
      std::mutex mutex;
      std::condition_variable_any never;
      std::unique_lock lock(mutex);
      never.wait(lock, options.stop, [] { return false; });
      return absl::CancelledError("stopped");
    });
  }
  void ThenFail(absl::Status status) {
    Then([status](const HttpRequest&, const TransferOptions&) { return status; });
  }

  absl::StatusOr<HttpResponse> Send(const HttpRequest& request, const TransferOptions& options) override {
    Answer answer;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      if (answers_.empty()) return absl::UnavailableError("the script is at its end");
      answer = answers_.front();
      if (answers_.size() > 1) answers_.pop_front();
    }
    return answer(request, options);
  }

  std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<Answer> answers_;         // guarded by mutex_
  std::vector<HttpRequest> requests_;  // guarded by mutex_
};

}  // namespace mayfly::kube::testing
