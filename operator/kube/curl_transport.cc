#include "operator/kube/curl_transport.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <stop_token>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mayfly::kube {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxIdle = 8;
constexpr std::size_t kMaxBody = 256u << 20;  // a list of a cluster's pods in one piece
constexpr std::size_t kMaxErrorBody = 1u << 20;
constexpr std::chrono::seconds kMaxConnectTime{10};
constexpr int kKeepaliveIdleSeconds = 15;
constexpr int kKeepaliveIntervalSeconds = 5;
constexpr unsigned kUnacknowledgedMilliseconds = 30'000;

struct HeaderList {
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  ~HeaderList() { ::curl_slist_free_all(list); }
  void Add(const std::string& line) { list = ::curl_slist_append(list, line.c_str()); }

  curl_slist* list = nullptr;
};

// A write to a connection that the peer closed raises SIGPIPE, which must not end a process that does not
// ignore it: it is held back on this thread, and what came meanwhile is taken away.
class HoldsSigpipe {
 public:
  HoldsSigpipe() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  HoldsSigpipe(const HoldsSigpipe&) = delete;
  HoldsSigpipe& operator=(const HoldsSigpipe&) = delete;
  ~HoldsSigpipe() {
    if (::sigismember(&before_, SIGPIPE) == 1) return;
    const timespec now{};
    ::sigtimedwait(&pipe_, nullptr, &now);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
};

void InitializeOnce() {
  static std::once_flag once;
  std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
}

int SetSocketOptions(void*, curl_socket_t socket, curlsocktype) {
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMilliseconds,
               sizeof kUnacknowledgedMilliseconds);
  return CURL_SOCKOPT_OK;
}

bool IsLoopback(std::string_view server) {
  return server.find("://localhost") != std::string_view::npos ||
         server.find("://127.") != std::string_view::npos ||
         server.find("://[::1]") != std::string_view::npos;
}

// "https://host:port" and the path behind it.
struct ServerUrl {
  std::string scheme;  // "https://"
  std::string host;    // "10.0.0.1", "[::1]"
  std::string port;
  std::string path;

  explicit ServerUrl(std::string_view url) {
    const std::size_t begin = url.find("://") + 3;
    scheme = url.substr(0, begin);
    const std::size_t slash = std::min(url.find('/', begin), url.size());
    path = url.substr(slash);
    host = url.substr(begin, slash - begin);
    port = scheme == "https://" ? "443" : "80";
    const std::size_t colon = host.rfind(':');
    if (colon != std::string::npos && host.find(']', colon) == std::string::npos) {
      port = host.substr(colon + 1);
      host.resize(colon);
    }
  }
};

absl::Status StatusOf(CURLcode code, std::string_view details) {
  const std::string message = absl::StrCat(::curl_easy_strerror(code), details.empty() ? "" : ": ",
                                           absl::string_view(details.data(), details.size()));
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(message);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::UnauthenticatedError(message);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::InvalidArgumentError(message);
    default:
      return absl::UnavailableError(message);
  }
}

// What one request's callbacks write to.
struct Transfer {
  const TransferOptions& options;
  CURL* easy;
  base::MonotonicTime last_byte;
  HttpResponse response = {};
  bool ended_by_reader = false;
  bool too_large = false;

  bool IsSuccess() const {
    long code = 0;
    ::curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    return code >= 200 && code < 300;
  }
};

std::size_t OnBody(char* data, std::size_t, std::size_t size, void* context) {
  Transfer& transfer = *static_cast<Transfer*>(context);
  transfer.last_byte = std::chrono::steady_clock::now();
  const bool success = transfer.IsSuccess();
  if (success && transfer.options.on_bytes) {
    transfer.ended_by_reader = !transfer.options.on_bytes(std::string_view(data, size));
    return transfer.ended_by_reader ? CURL_WRITEFUNC_ERROR : size;
  }
  std::string& body = transfer.response.body;
  if (body.size() + size > (success ? kMaxBody : kMaxErrorBody)) {
    transfer.too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  body.append(data, size);
  return size;
}

std::size_t OnHeader(char* data, std::size_t, std::size_t size, void* context) {
  Transfer& transfer = *static_cast<Transfer*>(context);
  transfer.last_byte = std::chrono::steady_clock::now();
  const absl::string_view line(data, size);
  if (line == "\r\n" && transfer.IsSuccess() && transfer.options.on_begin) transfer.options.on_begin();
  if (const std::size_t colon = line.find(':'); transfer.options.keep_headers && colon != line.npos) {
    const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
    transfer.response.headers[absl::AsciiStrToLower(line.substr(0, colon))] = std::string(value);
  }
  constexpr absl::string_view kRetryAfter = "retry-after:";
  if (line.size() > kRetryAfter.size() &&
      absl::EqualsIgnoreCase(line.substr(0, kRetryAfter.size()), kRetryAfter)) {
    const absl::string_view value = absl::StripAsciiWhitespace(line.substr(kRetryAfter.size()));
    // The API server sends seconds; a date, which HTTP also allows, is passed over.
    int seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error == std::errc() && end == value.data() + value.size() && seconds >= 0) {
      transfer.response.retry_after = std::chrono::seconds(std::min(seconds, 3600));
    }
  }
  return size;
}

curl_blob BlobOf(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
}

}  // namespace

// One easy handle and the multi handle that drives it, with the connection that is kept between requests.
class CurlTransport::Connection {
 public:
  Connection() : multi_(::curl_multi_init()), easy_(::curl_easy_init()) {
    ::curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, 1L);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    ::curl_easy_cleanup(easy_);
    ::curl_multi_cleanup(multi_);
  }

  absl::StatusOr<HttpResponse> Run(const Config& config, const Identity& identity,
                                   const std::string& user_agent, const HttpRequest& request,
                                   const TransferOptions& options) {
    ::curl_easy_reset(easy_);
    error_[0] = '\0';
    HeaderList headers;
    HeaderList connect_to;
    Transfer transfer{.options = options, .easy = easy_, .last_byte = std::chrono::steady_clock::now()};
    SetRequest(request, identity, user_agent, headers);
    SetServer(config, identity, request, headers, connect_to);
    SetTransfer(options, transfer);
    ::curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers.list);
    ::curl_multi_add_handle(multi_, easy_);
    const absl::Status status = Drive(options, transfer);
    ::curl_multi_remove_handle(multi_, easy_);
    if (!status.ok()) return status;
    long code = 0;
    ::curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &code);
    transfer.response.code = static_cast<int>(code);
    return std::move(transfer.response);
  }

 private:
  template <typename Value>
  void Set(CURLoption option, Value value) {
    ::curl_easy_setopt(easy_, option, value);
  }

  void SetRequest(const HttpRequest& request, const Identity& identity, const std::string& user_agent,
                  HeaderList& headers) {
    Set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (!request.body.empty() || request.method == "POST") {
      Set(CURLOPT_POST, 1L);
      Set(CURLOPT_POSTFIELDS, request.body.c_str());
      Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      headers.Add("Content-Type: " + request.content_type);
      headers.Add("Expect:");
    }
    if (request.method == "HEAD") Set(CURLOPT_NOBODY, 1L);
    headers.Add("Accept: " + request.accept);
    for (const auto& [name, value] : request.headers) headers.Add(absl::StrCat(name, ": ", value));
    headers.Add("User-Agent: " + user_agent);
    for (const std::string& header : identity.headers) headers.Add(header);
  }

  void SetServer(const Config& config, const Identity& identity, const HttpRequest& request,
                 HeaderList& headers, HeaderList& connect_to) {
    const ServerUrl server(config.server);
    std::string url = config.server + request.target;
    if (!config.tls_server_name.empty()) {
      // The certificate is checked against the URL's name; the connection goes to the server's.
      url =
          absl::StrCat(server.scheme, config.tls_server_name, ":", server.port, server.path, request.target);
      connect_to.Add(
          absl::StrCat(config.tls_server_name, ":", server.port, ":", server.host, ":", server.port));
      headers.Add(absl::StrCat("Host: ", server.host, ":", server.port));
      Set(CURLOPT_CONNECT_TO, connect_to.list);
    }
    Set(CURLOPT_URL, url.c_str());
    Set(CURLOPT_PROTOCOLS_STR, "http,https");
    Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    if (!config.proxy_url.empty()) {
      Set(CURLOPT_PROXY, config.proxy_url.c_str());
    } else if (IsLoopback(config.server)) {
      Set(CURLOPT_PROXY, "");  // whatever the environment says
    }
    Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    Set(CURLOPT_SSL_VERIFYPEER, config.insecure ? 0L : 1L);
    Set(CURLOPT_SSL_VERIFYHOST, config.insecure ? 0L : 2L);
    if (!identity.authority.empty()) {
      const curl_blob blob = BlobOf(identity.authority);
      Set(CURLOPT_CAINFO_BLOB, &blob);
      // Else the machine's own CAs would be trusted beside it.
      Set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
    }
    if (!identity.client_certificate.empty()) {
      const curl_blob certificate = BlobOf(identity.client_certificate);
      const curl_blob key = BlobOf(identity.client_key);
      Set(CURLOPT_SSLCERT_BLOB, &certificate);
      Set(CURLOPT_SSLKEY_BLOB, &key);
    }
  }

  void SetTransfer(const TransferOptions& options, Transfer& transfer) {
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_QUICK_EXIT, 1L);  // a name look-up that hangs holds up nobody
    Set(CURLOPT_ERRORBUFFER, error_);
    Set(CURLOPT_WRITEFUNCTION, &OnBody);
    Set(CURLOPT_WRITEDATA, &transfer);
    Set(CURLOPT_HEADERFUNCTION, &OnHeader);
    Set(CURLOPT_HEADERDATA, &transfer);
    Set(CURLOPT_SOCKOPTFUNCTION, &SetSocketOptions);
    Set(CURLOPT_TCP_KEEPALIVE, 1L);
    Set(CURLOPT_TCP_KEEPIDLE, static_cast<long>(kKeepaliveIdleSeconds));
    Set(CURLOPT_TCP_KEEPINTVL, static_cast<long>(kKeepaliveIntervalSeconds));
    const auto left = std::chrono::ceil<milliseconds>(options.deadline - std::chrono::steady_clock::now());
    Set(CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(std::clamp<milliseconds>(left, milliseconds(1), kMaxConnectTime).count()));
  }

  absl::Status Drive(const TransferOptions& options, Transfer& transfer) {
    const std::stop_callback wake(options.stop, [this] { ::curl_multi_wakeup(multi_); });
    for (;;) {
      if (options.stop.stop_requested()) return absl::CancelledError("stopped");
      int running = 0;
      if (const CURLMcode code = ::curl_multi_perform(multi_, &running); code != CURLM_OK) {
        return absl::InternalError(::curl_multi_strerror(code));
      }
      if (running == 0) return Outcome(transfer);
      const base::MonotonicTime now = std::chrono::steady_clock::now();
      if (now >= options.deadline) return absl::DeadlineExceededError("the server did not answer in time");
      base::MonotonicTime until = options.deadline;
      if (options.idle_timeout.count() > 0) {
        const base::MonotonicTime idle = transfer.last_byte + options.idle_timeout;
        if (now >= idle) return absl::UnavailableError("nothing came for too long");
        until = std::min(until, idle);
      }
      const auto wait =
          std::min<milliseconds>(std::chrono::ceil<milliseconds>(until - now), std::chrono::minutes(1));
      ::curl_multi_poll(multi_, nullptr, 0, static_cast<int>(wait.count()), nullptr);
    }
  }

  absl::Status Outcome(const Transfer& transfer) const {
    int left = 0;
    const CURLMsg* message = ::curl_multi_info_read(multi_, &left);
    if (message == nullptr) return absl::InternalError("the transfer ended without a result");
    if (transfer.ended_by_reader) return absl::OkStatus();
    if (transfer.too_large) return absl::ResourceExhaustedError("the answer is too large");
    if (message->data.result == CURLE_OK) return absl::OkStatus();
    return StatusOf(message->data.result, error_);
  }

  CURLM* const multi_;
  CURL* const easy_;
  char error_[CURL_ERROR_SIZE] = {};
};

CurlTransport::CurlTransport(Credentials& credentials, std::string user_agent)
    : credentials_(credentials), user_agent_(std::move(user_agent)) {
  InitializeOnce();
}

CurlTransport::~CurlTransport() = default;

absl::StatusOr<HttpResponse> CurlTransport::Send(const HttpRequest& request, const TransferOptions& options) {
  const HoldsSigpipe holds_sigpipe;
  for (int attempt = 1;; ++attempt) {
    const auto identity = credentials_.Current(options.deadline);
    if (!identity.ok()) return identity.status();
    std::unique_ptr<Connection> connection = Take();
    absl::StatusOr<HttpResponse> response =
        connection->Run(credentials_.config(), **identity, user_agent_, request, options);
    if (response.ok()) GiveBack(std::move(connection));
    if (!response.ok()) return base::WithContext(response.status(), credentials_.config().server);
    if (response->code != 401 || attempt > 1) return response;
    credentials_.Invalidate(*identity);
  }
}

std::unique_ptr<CurlTransport::Connection> CurlTransport::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Connection> connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  return std::make_unique<Connection>();
}

void CurlTransport::GiveBack(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(connection));
}

}  // namespace mayfly::kube
