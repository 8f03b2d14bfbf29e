#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "base/thread.h"
#include "gateway/client/http_client.h"

namespace mayfly::gateway {
namespace {

constexpr int kPollMs = 60'000;
constexpr long kConnectTimeoutMs = 5'000;
constexpr std::size_t kMostHeaderBytes = 16 * 1024;

// 127/8, ::1, and what stands for this machine when no address is given.
bool IsLoopback(const in_addr& address) {
  const std::uint32_t bits = ntohl(address.s_addr);
  return bits >> 24 == 127 || bits >> 24 == 0;
}
bool IsLinkLocal(const in_addr& address) { return ntohl(address.s_addr) >> 16 == 0xA9FE; }

bool IsForbidden(const sockaddr* address, bool loopback) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    return IsLinkLocal(v4.sin_addr) || (!loopback && IsLoopback(v4.sin_addr));
  }
  if (address->sa_family != AF_INET6) return true;
  sockaddr_in6 v6;
  std::memcpy(&v6, address, sizeof v6);
  const in6_addr& of = v6.sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&of)) {
    in_addr v4;
    std::memcpy(&v4, &of.s6_addr[12], sizeof v4);
    return IsLinkLocal(v4) || (!loopback && IsLoopback(v4));
  }
  return IN6_IS_ADDR_LINKLOCAL(&of) ||
         (!loopback && (IN6_IS_ADDR_LOOPBACK(&of) || IN6_IS_ADDR_UNSPECIFIED(&of)));
}

std::string Environment(const char* name) {
  const char* const value = ::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

class CurlHttpClient final : public HttpClient {
 public:
  explicit CurlHttpClient(HttpClientOptions options) : options_(std::move(options)) {
    static std::once_flag once;
    std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
    multi_ = ::curl_multi_init();
  }

  ~CurlHttpClient() override {
    std::vector<std::unique_ptr<Transfer>> rest;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      rest.swap(waiting_);
    }
    thread_.request_stop();
    ::curl_multi_wakeup(multi_);
    if (thread_.joinable()) thread_.join();
    for (const auto& transfer : rest) transfer->done(absl::UnavailableError("the gateway stops"));
    ::curl_multi_cleanup(multi_);
  }

  void Send(HttpCall call, Done done) override {
    if (!call.url.starts_with("https://") && !call.url.starts_with("http://")) {
      done(absl::InvalidArgumentError("the URL is neither http:// nor https://"));
      return;
    }
    auto transfer = std::make_unique<Transfer>();
    transfer->owner = this;
    transfer->call = std::move(call);
    transfer->done = std::move(done);
    absl::Status refused;
    {
      const std::lock_guard lock(mutex_);
      refused = stopping_ ? absl::UnavailableError("the gateway stops")
                          : absl::ResourceExhaustedError("too many requests to others are under way");
      if (!stopping_ && count_ < options_.most_at_once) {
        ++count_;
        waiting_.push_back(std::move(transfer));
        if (!thread_.joinable())
          thread_ = base::StartThread("gw-client", [this](const std::stop_token& stop) { Run(stop); });
      }
    }
    if (transfer != nullptr) {
      transfer->done(refused);
      return;
    }
    ::curl_multi_wakeup(multi_);
  }

 private:
  struct Transfer {
    ~Transfer() {
      if (easy != nullptr) ::curl_easy_cleanup(easy);
      ::curl_slist_free_all(headers);
    }

    CurlHttpClient* owner = nullptr;
    HttpCall call;
    Done done;
    HttpResult result;
    CURL* easy = nullptr;
    curl_slist* headers = nullptr;
    std::size_t header_bytes = 0;
    bool forbidden = false;
    char error[CURL_ERROR_SIZE] = {};
  };

  static std::size_t OnBody(char* data, std::size_t, std::size_t size, void* to) {
    Transfer& transfer = *static_cast<Transfer*>(to);
    const std::size_t room = transfer.call.most_answer - transfer.result.body.size();
    transfer.result.cut = transfer.result.cut || size > room;
    transfer.result.body.append(data, std::min(size, room));
    // The rest of a long one is of no use: nothing more is read of it.
    return transfer.result.cut ? CURL_WRITEFUNC_ERROR : size;
  }

  static std::size_t OnHeader(char* data, std::size_t, std::size_t size, void* to) {
    Transfer& transfer = *static_cast<Transfer*>(to);
    transfer.header_bytes += size;
    if (transfer.header_bytes > kMostHeaderBytes) return 0;
    const std::string_view line(data, size);
    if (line.starts_with("HTTP/")) transfer.result.headers.clear();
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    const std::size_t end = line.find_last_not_of(" \t\r\n");
    transfer.result.headers.emplace_back(std::move(name),
                                         begin == std::string_view::npos || end < begin
                                             ? std::string()
                                             : std::string(line.substr(begin, end - begin + 1)));
    return size;
  }

  static curl_socket_t OnSocket(void* of, curlsocktype, curl_sockaddr* address) {
    Transfer& transfer = *static_cast<Transfer*>(of);
    if (IsForbidden(&address->addr, transfer.owner->options_.loopback)) {
      transfer.forbidden = true;
      return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  void Begin(std::unique_ptr<Transfer> transfer) {
    Transfer& of = *transfer;
    of.easy = ::curl_easy_init();
    const auto set = [&](CURLoption option, auto value) { ::curl_easy_setopt(of.easy, option, value); };
    set(CURLOPT_URL, of.call.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (const std::string file = Environment("SSL_CERT_FILE"); !file.empty())
      set(CURLOPT_CAINFO, file.c_str());
    set(CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(1, of.call.timeout.count())));
    set(CURLOPT_ERRORBUFFER, of.error);
    set(CURLOPT_USERAGENT, options_.user_agent.c_str());
    set(CURLOPT_CUSTOMREQUEST, of.call.method.c_str());
    if (!of.call.body.empty() || of.call.method == "POST" || of.call.method == "PUT") {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDS, of.call.body.c_str());
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(of.call.body.size()));
    }
    for (const auto& [name, value] : of.call.headers)
      of.headers = ::curl_slist_append(of.headers, fmt::format("{}: {}", name, value).c_str());
    // No "Expect: 100-continue": some servers answer it after a second.
    of.headers = ::curl_slist_append(of.headers, "Expect:");
    set(CURLOPT_HTTPHEADER, of.headers);
    set(CURLOPT_WRITEFUNCTION, &OnBody);
    set(CURLOPT_WRITEDATA, &of);
    set(CURLOPT_HEADERFUNCTION, &OnHeader);
    set(CURLOPT_HEADERDATA, &of);
    set(CURLOPT_OPENSOCKETFUNCTION, &OnSocket);
    set(CURLOPT_OPENSOCKETDATA, &of);
    set(CURLOPT_PRIVATE, &of);
    running_.emplace(of.easy, std::move(transfer));
    ::curl_multi_add_handle(multi_, of.easy);
  }

  void End(CURL* easy, CURLcode code) {
    auto entry = running_.extract(easy);
    if (entry.empty()) return;
    const std::unique_ptr<Transfer> transfer = std::move(entry.mapped());
    ::curl_multi_remove_handle(multi_, easy);
    {
      const std::lock_guard lock(mutex_);
      --count_;
    }
    long status = 0;
    ::curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->result.status = static_cast<int>(status);
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && transfer->result.cut)) {
      transfer->done(std::move(transfer->result));
      return;
    }
    const std::string text = *transfer->error != '\0' ? transfer->error : ::curl_easy_strerror(code);
    if (transfer->forbidden) {
      transfer->done(absl::PermissionDeniedError(
          "the address is link-local or this machine's own, which a gateway does not reach"));
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
      transfer->done(absl::DeadlineExceededError(text));
    } else if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
      transfer->done(absl::InvalidArgumentError(text));
    } else {
      transfer->done(absl::UnavailableError(text));
    }
  }

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::vector<std::unique_ptr<Transfer>> fresh;
      {
        const std::lock_guard lock(mutex_);
        fresh.swap(waiting_);
      }
      for (auto& transfer : fresh) Begin(std::move(transfer));
      int running = 0;
      ::curl_multi_perform(multi_, &running);
      int left = 0;
      while (const CURLMsg* const message = ::curl_multi_info_read(multi_, &left)) {
        if (message->msg == CURLMSG_DONE) End(message->easy_handle, message->data.result);
      }
      ::curl_multi_poll(multi_, nullptr, 0, kPollMs, nullptr);
    }
    while (!running_.empty()) {
      auto entry = running_.extract(running_.begin());
      ::curl_multi_remove_handle(multi_, entry.key());
      entry.mapped()->done(absl::UnavailableError("the gateway stops"));
    }
  }

  const HttpClientOptions options_;
  CURLM* multi_ = nullptr;
  std::map<CURL*, std::unique_ptr<Transfer>> running_;  // on the thread

  std::mutex mutex_;
  std::vector<std::unique_ptr<Transfer>> waiting_;  // guarded by mutex_
  std::size_t count_ = 0;                           // guarded by mutex_; waiting and running
  bool stopping_ = false;                           // guarded by mutex_
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<HttpClient> MakeHttpClient(HttpClientOptions options) {
  return std::make_unique<CurlHttpClient>(std::move(options));
}

}  // namespace mayfly::gateway
