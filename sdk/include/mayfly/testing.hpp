// A test host: runs a module's handlers inside a unit test, without Mayfly.
//
//   #include <mayfly/testing.hpp>
//
//   mayfly::testing::Module module(&mayfly_module_v1);            // linked into the test, or
//   Module::Open("x.so") auto handler = module.Create("resize", R"({"width": 256})");  // throws if create()
//   refuses mayfly::testing::Request request; request.body = ReadFile("cat.jpeg"); auto answer =
//   handler.Invoke(request); EXPECT_EQ(answer.status, 200);
//
// The host keeps the rules of function.h as the runtime does (order of calls, headers, sizes), but isolates
// nothing: a handler that crashes takes the test with it. One thread at a time per Module; log() may be
// called from any.
#pragma once

#include <dlfcn.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mayfly/function.h"

namespace mayfly::testing {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// One invocation's event. What is left alone makes a plain GET.
struct Request {
  std::string invocation_id = "test-invocation";
  std::uint32_t attempt = 1;
  bool is_http = true;
  std::chrono::milliseconds timeout{60'000};

  std::string id = "test-event";
  std::string source = "/test";
  std::string type = "dev.mayfly.http.request";
  std::string subject;
  std::string time;
  std::string content_type;
  Pairs attributes;

  std::string method = "GET";
  std::string path = "/";
  std::string query;
  Pairs headers;  // names in lower case
  Pairs parameters;

  std::string body;
};

struct Answer {
  // What handle() returned.
  int result = 0;
  // Whether the invocation counts as answered: result 0, and one complete answer.
  bool ok = false;
  // What the handler failed with, or what is wrong with its answer.
  std::string failure;

  std::uint32_t status = 0;
  std::string content_type;
  Pairs headers;
  std::string body;
  bool streamed = false;

  // The first value of a header, "" if it is not there.
  std::string Header(std::string_view name) const {
    for (const auto& [header, value] : headers) {
      if (header == name) return value;
    }
    return {};
  }
};

struct LogLine {
  mayfly_level level;
  std::string text;
};

namespace internal {

inline std::string Copy(mayfly_str text) {
  return text.size == 0 ? std::string() : std::string(text.data, text.size);
}
inline mayfly_str Raw(std::string_view text) { return {text.data(), text.size()}; }

inline bool IsToken(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && kOthers.find(c) == std::string_view::npos) return false;
  }
  return !name.empty();
}
inline bool IsHeaderValue(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

// What a mayfly_response* of this host points to.
class Recorder {
 public:
  static Recorder& From(mayfly_response* response) { return *reinterpret_cast<Recorder*>(response); }
  mayfly_response* raw() { return reinterpret_cast<mayfly_response*>(this); }

  static int AddHeader(mayfly_response* response, mayfly_str name, mayfly_str value) {
    Recorder& self = From(response);
    if (self.state_ != State::kNone) return EALREADY;
    if (!IsToken(Copy(name)) || !IsHeaderValue(Copy(value))) return EINVAL;
    self.header_bytes_ += name.size + value.size;
    if (self.header_bytes_ > (32u << 10)) return ENOSPC;
    self.answer_.headers.emplace_back(Copy(name), Copy(value));
    return 0;
  }
  static int Reply(mayfly_response* response, std::uint32_t status, mayfly_str content_type, const void* body,
                   std::size_t size) {
    Recorder& self = From(response);
    if (const int error = self.BeginAs(State::kDone, status, content_type)) return error;
    if (size > 0) self.answer_.body.assign(static_cast<const char*>(body), size);
    return 0;
  }
  static int Begin(mayfly_response* response, std::uint32_t status, mayfly_str content_type) {
    Recorder& self = From(response);
    if (const int error = self.BeginAs(State::kStreaming, status, content_type)) return error;
    self.answer_.streamed = true;
    return 0;
  }
  static int Write(mayfly_response* response, const void* data, std::size_t size) {
    Recorder& self = From(response);
    if (self.state_ != State::kStreaming) return EPROTO;
    if (size > 0) self.answer_.body.append(static_cast<const char*>(data), size);
    return 0;
  }
  static int End(mayfly_response* response) {
    Recorder& self = From(response);
    if (self.state_ != State::kStreaming) return EPROTO;
    self.state_ = State::kDone;
    return 0;
  }
  static int Fail(mayfly_response* response, mayfly_str message) {
    Recorder& self = From(response);
    if (self.state_ != State::kNone && self.state_ != State::kStreaming) return EALREADY;
    self.state_ = State::kFailed;
    self.answer_.failure = Copy(message);
    return 0;
  }

  Answer Finish(int result) {
    answer_.result = result;
    answer_.ok = result == 0 && state_ == State::kDone && !twice_;
    if (state_ == State::kNone && result == 0) answer_.failure = "the handler returned without an answer";
    if (state_ == State::kStreaming)
      answer_.failure = "the handler returned without ending its streamed answer";
    if (result != 0 && answer_.failure.empty())
      answer_.failure = "the handler returned " + std::to_string(result);
    if (twice_ && answer_.failure.empty()) answer_.failure = "the handler answered twice";
    return std::move(answer_);
  }

 private:
  enum class State { kNone, kStreaming, kDone, kFailed };

  int BeginAs(State state, std::uint32_t status, mayfly_str content_type) {
    if (state_ != State::kNone) {
      twice_ = true;
      return EALREADY;
    }
    if (status < 100 || status > 599 || !IsHeaderValue(Copy(content_type))) return EINVAL;
    state_ = state;
    answer_.status = status;
    answer_.content_type = Copy(content_type);
    return 0;
  }

  Answer answer_;
  State state_ = State::kNone;
  bool twice_ = false;
  std::size_t header_bytes_ = 0;
};

// A mayfly_host with the log that it collects behind it.
class Host {
 public:
  const mayfly_host* raw() const { return &raw_.host; }
  std::vector<LogLine> TakeLog() {
    const std::lock_guard lock(raw_.mutex);
    return std::exchange(raw_.lines, {});
  }
  void OnLog(std::function<void(const LogLine&)> print) {
    const std::lock_guard lock(raw_.mutex);
    raw_.print = std::move(print);
  }

 private:
  struct Raw {
    mayfly_host host;  // first: log() gets a pointer to it
    std::mutex mutex;
    std::vector<LogLine> lines;
    std::function<void(const LogLine&)> print;
  };

  static void Log(const mayfly_host* host, mayfly_level level, mayfly_str text) {
    Raw& raw = *const_cast<Raw*>(reinterpret_cast<const Raw*>(host));
    const std::lock_guard lock(raw.mutex);
    LogLine line{level, Copy(text)};
    if (raw.print) {
      raw.print(line);
    } else {
      raw.lines.push_back(std::move(line));
    }
  }
  static void SetError(mayfly_error* error, mayfly_str message) {
    *reinterpret_cast<std::string*>(error) = Copy(message);
  }

  Raw raw_{{sizeof(mayfly_host), MAYFLY_ABI_VERSION, 0, &Log, &Recorder::Reply, &Recorder::AddHeader,
            &Recorder::Begin, &Recorder::Write, &Recorder::End, &Recorder::Fail, &SetError},
           {},
           {},
           {}};
};

inline std::vector<mayfly_pair> RawPairs(const Pairs& pairs) {
  std::vector<mayfly_pair> result;
  for (const auto& [name, value] : pairs) result.push_back({Raw(name), Raw(value)});
  return result;
}

}  // namespace internal

// One instance of a handler. The Module that made it must outlive it.
class Instance {
 public:
  // Runs create(). Throws std::runtime_error with the module's own text if it refuses.
  Instance(const mayfly_host* host, const mayfly_handler& handler, std::string_view config)
      : handler_(&handler) {
    if (handler_->create == nullptr) return;
    std::string why;
    void* made = nullptr;
    const int error =
        handler_->create(host, internal::Raw(config), &made, reinterpret_cast<mayfly_error*>(&why));
    if (error != 0)
      throw std::runtime_error(why.empty() ? "create() returned " + std::to_string(error) : why);
    instance_ = made;
  }
  Instance(Instance&& other) noexcept
      : handler_(std::exchange(other.handler_, nullptr)),
        instance_(std::exchange(other.instance_, nullptr)) {}
  Instance& operator=(Instance&&) = delete;
  ~Instance() {
    if (handler_ != nullptr && handler_->destroy != nullptr) handler_->destroy(instance_);
  }

  // Runs after_fork() without a fork. Throws std::runtime_error if it refuses.
  void AfterFork() {
    if (handler_->after_fork == nullptr) return;
    std::string why;
    const int error = handler_->after_fork(instance_, reinterpret_cast<mayfly_error*>(&why));
    if (error != 0)
      throw std::runtime_error(why.empty() ? "after_fork() returned " + std::to_string(error) : why);
  }

  Answer Invoke(const Request& request) {
    using internal::Raw;
    const std::vector<mayfly_pair> attributes = internal::RawPairs(request.attributes);
    const std::vector<mayfly_pair> headers = internal::RawPairs(request.headers);
    const std::vector<mayfly_pair> parameters = internal::RawPairs(request.parameters);
    const auto deadline = std::chrono::steady_clock::now() + request.timeout;
    mayfly_event event{};
    event.size = sizeof(event);
    event.invocation_id = Raw(request.invocation_id);
    event.attempt = request.attempt;
    event.is_http = request.is_http ? 1 : 0;
    event.deadline_ns = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count());
    event.id = Raw(request.id);
    event.source = Raw(request.source);
    event.type = Raw(request.type);
    event.subject = Raw(request.subject);
    event.time = Raw(request.time);
    event.data_content_type = Raw(request.content_type);
    event.attributes = attributes.data();
    event.attribute_count = attributes.size();
    if (request.is_http) {
      event.method = Raw(request.method);
      event.path = Raw(request.path);
      event.query = Raw(request.query);
      event.headers = headers.data();
      event.header_count = headers.size();
      event.parameters = parameters.data();
      event.parameter_count = parameters.size();
    }
    // A heap copy of exactly its size: reading past it is seen by AddressSanitizer.
    const auto body = std::make_unique<char[]>(request.body.size());
    std::memcpy(body.get(), request.body.data(), request.body.size());
    event.body = body.get();
    event.body_size = request.body.size();
    internal::Recorder recorder;
    const int result = handler_->handle(instance_, &event, recorder.raw());
    return recorder.Finish(result);
  }

 private:
  const mayfly_handler* handler_;
  void* instance_ = nullptr;
};

// A module, linked into the test or opened as the shared object that Mayfly would get. Never closed.
class Module {
 public:
  using Entry = const mayfly_module* (*)(const mayfly_host*);

  explicit Module(Entry entry) : host_(std::make_unique<internal::Host>()), module_(entry(host_->raw())) {
    if (module_ == nullptr) throw std::runtime_error("mayfly_module_v1 returned null");
    if (module_->abi_version != MAYFLY_ABI_VERSION) {
      throw std::runtime_error("the module has ABI version " + std::to_string(module_->abi_version) +
                               ", not " + std::to_string(MAYFLY_ABI_VERSION));
    }
  }

  static Module Open(const std::string& path) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    void* const symbol = dlsym(library, "mayfly_module_v1");
    if (symbol == nullptr) throw std::runtime_error(path + " exports no mayfly_module_v1");
    return Module(reinterpret_cast<Entry>(symbol));
  }

  std::vector<std::string> Handlers() const {
    std::vector<std::string> names;
    for (std::uint32_t n = 0; n < module_->handler_count; n++) names.emplace_back(module_->handlers[n]->name);
    return names;
  }
  const mayfly_module& raw() const { return *module_; }

  // `handler` may be "" if the module has only one.
  Instance Create(std::string_view handler = {}, std::string_view config = "{}") const {
    for (std::uint32_t n = 0; n < module_->handler_count; n++) {
      const mayfly_handler& candidate = *module_->handlers[n];
      if (handler == candidate.name || (handler.empty() && module_->handler_count == 1)) {
        return Instance(host_->raw(), candidate, config);
      }
    }
    throw std::runtime_error("the module has no handler \"" + std::string(handler) + "\"");
  }

  // What was logged since the last call.
  std::vector<LogLine> TakeLog() const { return host_->TakeLog(); }
  // From now on `print` gets each line at once, from whichever thread logs it, and TakeLog() nothing.
  void OnLog(std::function<void(const LogLine&)> print) { host_->OnLog(std::move(print)); }

 private:
  std::unique_ptr<internal::Host> host_;
  const mayfly_module* module_;
};

}  // namespace mayfly::testing
