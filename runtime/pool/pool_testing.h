// What tests of the pool share: a sink that collects an answer and can be waited for, and a pool for one of the
// test modules.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "runtime/pool/worker_pool.h"

namespace mayfly::runtime {

// Collects the parts of one answer. Thread-safe.
class TestSink final : public ResponseSink {
 public:
  void OnPart(v1::ResponsePart&& part) override {
    const std::lock_guard lock(mutex_);
    ++parts_;
    if (part.has_head()) head_ = std::move(*part.mutable_head());
    body_ += part.data();
    if (part.has_result()) {
      result_ = std::move(*part.mutable_result());
      ++results_;
    }
    changed_.notify_all();
  }

  // Waits for the result; false if it does not come in time.
  bool Wait(std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [this] { return results_ > 0; });
  }
  bool WaitForBody(std::size_t size, std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return body_.size() >= size || results_ > 0; });
  }
  v1::Result result() const {
    const std::lock_guard lock(mutex_);
    return result_;
  }
  v1::ResponseHead head() const {
    const std::lock_guard lock(mutex_);
    return head_;
  }
  std::string body() const {
    const std::lock_guard lock(mutex_);
    return body_;
  }
  int results() const {
    const std::lock_guard lock(mutex_);
    return results_;
  }
  int parts() const {
    const std::lock_guard lock(mutex_);
    return parts_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  v1::ResponseHead head_;
  std::string body_;
  v1::Result result_;
  int results_ = 0;
  int parts_ = 0;
};

inline PoolOptions TestOptions(const std::string& module) {
  PoolOptions options;
  options.worker_program = std::string(MAYFLY_BIN_DIR) + "/mayfly-worker";
  options.symbolizer_program = std::string(MAYFLY_BIN_DIR) + "/mayfly-symbolizer";
  options.function = "test/" + module;
  options.revision = "r1";
  options.module_path = std::string(MAYFLY_TEST_MODULE_DIR) + "/" + module + ".so";
  return options;
}

inline v1::Start TestStart(const std::string& query = "", std::uint32_t timeout_ms = 10'000) {
  v1::Start start;
  start.set_invocation_id("inv-1");
  start.set_timeout_ms(timeout_ms);
  start.set_attempt(1);
  start.set_window(1u << 30);
  v1::Event& event = *start.mutable_event();
  event.set_id("event-1");
  event.set_source("/test");
  event.set_type("dev.mayfly.http.request");
  event.mutable_http()->set_method("POST");
  event.mutable_http()->set_path("/test");
  event.mutable_http()->set_query(query);
  return start;
}

}  // namespace mayfly::runtime
