// The C++20 layer over the module ABI (function.h): write a function in a few lines, without a pointer to
// free.
//
//   #include <mayfly/function.hpp>
//
//   mayfly::Reply Hello(const mayfly::Event& event) {
//     return mayfly::Reply::Text("Hello, " + event.QueryParameter("name").value_or("world") + "!\n");
//   }
//   MAYFLY_FUNCTION("hello", Hello)
//
// A handler with state is a class: its constructor runs once per replica, and every worker is a copy of it.
//
//   class Thumbnail {
//    public:
//     explicit Thumbnail(const mayfly::Config& config);            // or no parameter
//     void Handle(const mayfly::Event&, mayfly::Response&);        // or: Reply Handle(const Event&)
//     void AfterFork();                                            // optional: fresh seeds, connections
//     static constexpr bool kNoFork = true;                        // optional: see MAYFLY_NO_FORK
//   };
//   MAYFLY_HANDLER("resize", Thumbnail)
//
// Several handlers in one module:
//
//   MAYFLY_MODULE(mayfly::Function<Hello>("hello"), mayfly::Handler<Thumbnail>("resize"))
//
// An exception that leaves a handler fails the invocation with its text; one that leaves a constructor or
// AfterFork refuses the revision with it. Threads and lifetimes are those of function.h: one invocation at a
// time per process, on its main thread; what an Event shows is gone when the handler returns.
#pragma once

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "mayfly/function.h"

namespace mayfly {

namespace internal {

// Set when Mayfly asks the module to describe itself. Hidden: each module has its own.
[[gnu::visibility("hidden")]] inline const mayfly_host* host = nullptr;

inline std::string_view View(mayfly_str text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
inline mayfly_str Raw(std::string_view text) { return {text.data(), text.size()}; }

inline char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t n = 0; n < a.size(); n++) {
    if (Lower(a[n]) != Lower(b[n])) return false;
  }
  return true;
}

inline int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (Lower(c) >= 'a' && Lower(c) <= 'f') return Lower(c) - 'a' + 10;
  return -1;
}

// Of a query: percent-encoding and "+" undone; what is no valid encoding stays as it is.
inline std::string Decode(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t n = 0; n < text.size(); n++) {
    const int high = text[n] == '%' && n + 2 < text.size() ? HexDigit(text[n + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[n + 2]) : -1;
    if (low >= 0) {
      result += static_cast<char>(high * 16 + low);
      n += 2;
    } else {
      result += text[n] == '+' ? ' ' : text[n];
    }
  }
  return result;
}

}  // namespace internal

// Headers, attributes or parameters, in order. Read in place.
class Pairs {
 public:
  struct Pair {
    std::string_view name;
    std::string_view value;
  };

  class Iterator {
   public:
    using value_type = Pair;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(const mayfly_pair* at = nullptr) : at_(at) {}
    Pair operator*() const { return {internal::View(at_->name), internal::View(at_->value)}; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) { return Iterator(at_++); }
    bool operator==(const Iterator&) const = default;

   private:
    const mayfly_pair* at_;
  };

  Pairs(const mayfly_pair* first, std::size_t count) : first_(first), count_(count) {}

  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return Iterator(first_ + count_); }
  Pair operator[](std::size_t n) const { return *Iterator(first_ + n); }

  // The first value of `name`, whose case does not matter.
  std::optional<std::string_view> Find(std::string_view name) const {
    for (const Pair pair : *this) {
      if (internal::EqualIgnoringCase(pair.name, name)) return pair.value;
    }
    return std::nullopt;
  }
  std::string_view Get(std::string_view name, std::string_view fallback = {}) const {
    return Find(name).value_or(fallback);
  }

 private:
  const mayfly_pair* first_;
  std::size_t count_;
};

// What a handler is called for. A view: copy what must outlive the handler's return.
class Event {
 public:
  explicit Event(const mayfly_event& raw) : raw_(raw) {}

  std::string_view invocation_id() const { return internal::View(raw_.invocation_id); }
  // 1 for the first delivery, more for a retry.
  std::uint32_t attempt() const { return raw_.attempt; }
  // When this process is killed if it has not answered.
  std::chrono::steady_clock::time_point deadline() const {
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(raw_.deadline_ns));
  }

  // CloudEvents attributes; empty where absent.
  std::string_view id() const { return internal::View(raw_.id); }
  std::string_view source() const { return internal::View(raw_.source); }
  std::string_view type() const { return internal::View(raw_.type); }
  std::string_view subject() const { return internal::View(raw_.subject); }
  std::string_view time() const { return internal::View(raw_.time); }
  std::string_view content_type() const { return internal::View(raw_.data_content_type); }
  Pairs attributes() const { return {raw_.attributes, raw_.attribute_count}; }

  // Of an HTTP request; empty otherwise.
  bool is_http() const { return raw_.is_http != 0; }
  std::string_view method() const { return internal::View(raw_.method); }
  std::string_view path() const { return internal::View(raw_.path); }
  std::string_view query() const { return internal::View(raw_.query); }
  Pairs headers() const { return {raw_.headers, raw_.header_count}; }
  Pairs parameters() const { return {raw_.parameters, raw_.parameter_count}; }

  // The first value of `name` in the query, decoded; "" for a name without "=".
  std::optional<std::string> QueryParameter(std::string_view name) const {
    std::string_view rest = query();
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find('&'));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      const std::size_t equals = std::min(item.find('='), item.size());
      if (internal::Decode(item.substr(0, equals)) == name) {
        return internal::Decode(item.substr(std::min(item.size(), equals + 1)));
      }
    }
    return std::nullopt;
  }

  std::string_view body() const { return {static_cast<const char*>(raw_.body), raw_.body_size}; }
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(raw_.body), raw_.body_size};
  }

  const mayfly_event& raw() const { return raw_; }

 private:
  const mayfly_event& raw_;
};

// A whole answer as a value, for handlers that return one.
struct Reply {
  std::uint32_t status = 200;
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;

  static Reply Text(std::string text, std::uint32_t status = 200) {
    return {status, "text/plain; charset=utf-8", std::move(text), {}};
  }
  static Reply Json(std::string text, std::uint32_t status = 200) {
    return {status, "application/json", std::move(text), {}};
  }
};

// A streamed answer. Ends itself when it goes out of scope; if an exception does that, the answer stays
// unfinished and the invocation fails.
class Stream {
 public:
  explicit Stream(mayfly_response* raw) : raw_(raw), exceptions_(std::uncaught_exceptions()) {}
  Stream(Stream&& other) noexcept
      : raw_(std::exchange(other.raw_, nullptr)), exceptions_(other.exceptions_) {}
  Stream& operator=(Stream&&) = delete;
  ~Stream() {
    if (raw_ != nullptr && std::uncaught_exceptions() == exceptions_) internal::host->end(raw_);
  }

  // Sends `data`; waits while the client is slow, and does not return once it has gone: the process is killed.
  void Write(std::string_view data) {
    const int error = internal::host->write(raw_, data.data(), data.size());
    if (error != 0) throw std::system_error(error, std::generic_category(), "writing the response");
  }
  void Write(std::span<const std::byte> data) {
    Write(std::string_view(reinterpret_cast<const char*>(data.data()), data.size()));
  }

  void End() {
    const int error = internal::host->end(std::exchange(raw_, nullptr));
    if (error != 0) throw std::system_error(error, std::generic_category(), "ending the response");
  }

 private:
  mayfly_response* raw_;
  int exceptions_;
};

// Where the answer goes: headers first, then exactly one of Send (in any form), Begin or Fail. Calls that
// break this order, a bad header or a bad status throw std::system_error.
class Response {
 public:
  explicit Response(mayfly_response* raw) : raw_(raw) {}

  Response& Header(std::string_view name, std::string_view value) {
    Check(internal::host->add_header(raw_, internal::Raw(name), internal::Raw(value)),
          std::string("adding the header \"").append(name) + "\"");
    return *this;
  }

  void Send(std::uint32_t status, std::string_view content_type, std::string_view body) {
    Check(internal::host->reply(raw_, status, internal::Raw(content_type), body.data(), body.size()),
          "answering with status " + std::to_string(status));
  }
  void Send(std::uint32_t status, std::string_view content_type, std::span<const std::byte> body) {
    Send(status, content_type, std::string_view(reinterpret_cast<const char*>(body.data()), body.size()));
  }
  void Send(const Reply& reply) {
    for (const auto& [name, value] : reply.headers) Header(name, value);
    Send(reply.status, reply.content_type, std::string_view(reply.body));
  }
  void Text(std::string_view text, std::uint32_t status = 200) {
    Send(status, "text/plain; charset=utf-8", text);
  }
  void Json(std::string_view text, std::uint32_t status = 200) { Send(status, "application/json", text); }

  Stream Begin(std::uint32_t status, std::string_view content_type) {
    Check(internal::host->begin(raw_, status, internal::Raw(content_type)),
          "beginning an answer with status " + std::to_string(status));
    return Stream(raw_);
  }

  // An HTTP caller gets a 500 with `message`; an event is retried by policy. The same as to throw.
  void Fail(std::string_view message) {
    Check(internal::host->fail(raw_, internal::Raw(message)), "failing the invocation");
  }

  mayfly_response* raw() const { return raw_; }

 private:
  static void Check(int error, const std::string& what) {
    if (error != 0) throw std::system_error(error, std::generic_category(), what);
  }

  mayfly_response* raw_;
};

// The manifest's spec.config, as JSON text ("{}" if it has none). Gone when the constructor returns.
class Config {
 public:
  explicit Config(std::string_view json) : json_(json) {}
  std::string_view json() const { return json_; }

 private:
  std::string_view json_;
};

// The function's log; each line carries the invocation's id. Parts are texts, characters, numbers and bools:
//   mayfly::Log::Info("resized to ", width, " x ", height);
// Thread-safe.
class Log {
 public:
  template <typename... Parts>
  static void Debug(const Parts&... parts) {
    Write(MAYFLY_DEBUG, parts...);
  }
  template <typename... Parts>
  static void Info(const Parts&... parts) {
    Write(MAYFLY_INFO, parts...);
  }
  template <typename... Parts>
  static void Warn(const Parts&... parts) {
    Write(MAYFLY_WARN, parts...);
  }
  template <typename... Parts>
  static void Error(const Parts&... parts) {
    Write(MAYFLY_ERROR, parts...);
  }

  template <typename... Parts>
  static void Write(mayfly_level level, const Parts&... parts) {
    std::string line;
    (Append(line, parts), ...);
    if (internal::host != nullptr) internal::host->log(internal::host, level, internal::Raw(line));
  }

 private:
  template <typename Part>
  static void Append(std::string& line, const Part& part) {
    if constexpr (std::is_convertible_v<const Part&, std::string_view>) {
      line += static_cast<std::string_view>(part);
    } else if constexpr (std::is_same_v<Part, bool>) {
      line += part ? "true" : "false";
    } else if constexpr (std::is_same_v<Part, char>) {
      line += part;
    } else {
      static_assert(std::is_arithmetic_v<Part>,
                    "a part of a log line is a text, a character, a number or a bool");
      std::array<char, 64> digits{};
      const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), part);
      line.append(digits.data(), result.ptr);
    }
  }
};

// How long until `event`'s process is killed.
inline std::chrono::nanoseconds TimeLeft(const Event& event) {
  return event.deadline() - std::chrono::steady_clock::now();
}

namespace internal {

// The text of the exception that is being handled.
inline std::string CurrentExceptionText() noexcept {
  try {
    try {
      throw;
    } catch (const std::exception& error) {
      return *error.what() != 0 ? error.what() : "an exception without a text was thrown";
    } catch (...) {
      return "something was thrown that is no std::exception";
    }
  } catch (...) {
    return {};
  }
}

inline int RefuseCreation(mayfly_error* error) noexcept {
  host->set_error(error, Raw(CurrentExceptionText()));
  return EINVAL;
}

// What a handler returns is its answer; one that returns nothing has answered through `response`.
template <typename Call>
int Serve(mayfly_response* raw_response, Call&& call) noexcept {
  try {
    Response response(raw_response);
    if constexpr (std::is_void_v<decltype(call(response))>) {
      call(response);
    } else {
      response.Send(call(response));
    }
    return 0;
  } catch (...) {
    const std::string text = CurrentExceptionText();
    if (host->fail(raw_response, Raw(text)) == 0) return 0;
    // There was a whole answer: it does not count.
    host->log(host, MAYFLY_ERROR, Raw(text));
    return EIO;
  }
}

template <typename T>
concept HandlesWithResponse = requires(T& handler, const Event& event, Response& response) {
  { handler.Handle(event, response) } -> std::same_as<void>;
};
template <typename T>
concept HandlesWithReply = requires(T& handler, const Event& event) {
  { handler.Handle(event) } -> std::convertible_to<Reply>;
};
template <typename T>
concept HasAfterFork = requires(T& handler) { handler.AfterFork(); };

template <typename T>
constexpr std::uint32_t FlagsOf() {
  if constexpr (requires { T::kNoFork; }) {
    return T::kNoFork ? MAYFLY_NO_FORK : 0;
  } else {
    return 0;
  }
}

template <typename T>
struct ClassAdapter {
  static int Create(const mayfly_host*, mayfly_str config, void** instance, mayfly_error* error) noexcept {
    try {
      if constexpr (std::is_constructible_v<T, const Config&>) {
        *instance = std::make_unique<T>(Config(View(config))).release();
      } else {
        *instance = std::make_unique<T>().release();
      }
      return 0;
    } catch (...) {
      return RefuseCreation(error);
    }
  }
  static int AfterFork(void* instance, mayfly_error* error) noexcept {
    try {
      if constexpr (HasAfterFork<T>) static_cast<T*>(instance)->AfterFork();
      return 0;
    } catch (...) {
      return RefuseCreation(error);
    }
  }
  static int Handle(void* instance, const mayfly_event* raw_event, mayfly_response* raw_response) noexcept {
    T& handler = *static_cast<T*>(instance);
    return Serve(raw_response, [&](Response& response) {
      if constexpr (HandlesWithResponse<T>) {
        handler.Handle(Event(*raw_event), response);
      } else {
        return Reply(handler.Handle(Event(*raw_event)));
      }
    });
  }
  static void Destroy(void* instance) noexcept { delete static_cast<T*>(instance); }
};

template <auto function>
int HandleByFunction(void*, const mayfly_event* raw_event, mayfly_response* raw_response) noexcept {
  return Serve(raw_response, [&](Response& response) {
    if constexpr (std::is_invocable_r_v<void, decltype(function), const Event&, Response&>) {
      function(Event(*raw_event), response);
    } else {
      return Reply(function(Event(*raw_event)));
    }
  });
}

// A handler's name, checked while compiling: [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 characters.
class HandlerName {
 public:
  consteval HandlerName(const char* name) : text_(name) {  // NOLINT: implicit, so that a literal will do
    const std::string_view view(name);
    bool valid = !view.empty() && view.size() <= 63 && view.front() != '-' && view.back() != '-';
    for (const char c : view) valid = valid && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
    if (!valid) throw std::invalid_argument("a handler's name has lower-case letters, digits and '-' only");
  }
  constexpr const char* text() const { return text_; }

 private:
  const char* text_;
};

template <std::size_t count>
class Module {
 public:
  explicit Module(const std::array<mayfly_handler, count>& handlers) : handlers_(handlers) {
    for (std::size_t n = 0; n < count; n++) pointers_[n] = &handlers_[n];
  }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  const mayfly_module* raw() const { return &raw_; }

 private:
  std::array<mayfly_handler, count> handlers_;
  std::array<const mayfly_handler*, count> pointers_{};
  mayfly_module raw_{sizeof(mayfly_module), MAYFLY_ABI_VERSION, static_cast<std::uint32_t>(count),
                     pointers_.data()};
};

}  // namespace internal

// A handler that is a class; see the top of this file.
template <typename T>
constexpr mayfly_handler Handler(internal::HandlerName name) {
  static_assert(internal::HandlesWithResponse<T> || internal::HandlesWithReply<T>,
                "a handler class has `void Handle(const mayfly::Event&, mayfly::Response&)` or "
                "`mayfly::Reply Handle(const mayfly::Event&)`");
  static_assert(std::is_constructible_v<T, const Config&> || std::is_default_constructible_v<T>,
                "a handler class is made from `const mayfly::Config&` or from nothing");
  using Adapter = internal::ClassAdapter<T>;
  return {sizeof(mayfly_handler), name.text(),
          internal::FlagsOf<T>(), 0,
          &Adapter::Create,       internal::HasAfterFork<T> ? &Adapter::AfterFork : nullptr,
          &Adapter::Handle,       &Adapter::Destroy};
}

// A handler that is a free function: `Reply F(const Event&)` or `void F(const Event&, Response&)`.
template <auto function>
constexpr mayfly_handler Function(internal::HandlerName name) {
  static_assert(std::is_invocable_r_v<void, decltype(function), const Event&, Response&> ||
                    std::is_invocable_r_v<Reply, decltype(function), const Event&>,
                "a handler function is `mayfly::Reply F(const mayfly::Event&)` or "
                "`void F(const mayfly::Event&, mayfly::Response&)`");
  return {sizeof(mayfly_handler),
          name.text(),
          0,
          0,
          nullptr,
          nullptr,
          &internal::HandleByFunction<function>,
          nullptr};
}

}  // namespace mayfly

// Exports the module. Once per shared object, outside every namespace.
#define MAYFLY_MODULE(...)                                                                                \
  extern "C" MAYFLY_EXPORT const mayfly_module* mayfly_module_v1(const mayfly_host* mayfly_host_) {       \
    static const ::mayfly::internal::Module mayfly_module_(std::to_array<mayfly_handler>({__VA_ARGS__})); \
    ::mayfly::internal::host = mayfly_host_;                                                              \
    return mayfly_module_.raw();                                                                          \
  }
#define MAYFLY_FUNCTION(name, function) MAYFLY_MODULE(::mayfly::Function<function>(name))
#define MAYFLY_HANDLER(name, ...) MAYFLY_MODULE(::mayfly::Handler<__VA_ARGS__>(name))
