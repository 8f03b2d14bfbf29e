#include "runtime/artifacts/http_transfer.h"

#include <curl/curl.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace mayfly::runtime {
namespace {

using std::chrono::milliseconds;

constexpr long kConnectSeconds = 10;
constexpr long kStallSeconds = 15;

struct Listeners {
  const HttpTransfer::OnHeader& on_header;
  const HttpTransfer::OnBody& on_body;
};

std::size_t TakeHeader(char* data, std::size_t, std::size_t size, void* context) {
  const auto& listeners = *static_cast<Listeners*>(context);
  const absl::string_view line(data, size);
  if (absl::StartsWith(line, "HTTP/")) {
    listeners.on_header("", "");
    return size;
  }
  const std::size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return size;
  const std::string name = absl::AsciiStrToLower(line.substr(0, colon));
  const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  listeners.on_header(name, {value.data(), value.size()});
  return size;
}

std::size_t TakeBody(char* data, std::size_t, std::size_t size, void* context) {
  return static_cast<Listeners*>(context)->on_body({data, size}) ? size : CURL_WRITEFUNC_ERROR;
}

TransferError ErrorOf(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return TransferError::kNone;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return TransferError::kUntrusted;
    case CURLE_SSL_CONNECT_ERROR:
      return TransferError::kNoTls;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return TransferError::kBadUrl;
    case CURLE_TOO_MANY_REDIRECTS:
      return TransferError::kTooManyRedirects;
    case CURLE_COULDNT_RESOLVE_HOST:
      return TransferError::kNoSuchHost;
    case CURLE_OPERATION_TIMEDOUT:
      return TransferError::kTimedOut;
    case CURLE_WRITE_ERROR:
      return TransferError::kStopped;
    default:
      return TransferError::kBroken;
  }
}

}  // namespace

struct HttpTransfer::Handle {
  CURL* const easy = ::curl_easy_init();
  ~Handle() { ::curl_easy_cleanup(easy); }

  template <typename Value>
  void Set(CURLoption option, Value value) const {
    ::curl_easy_setopt(easy, option, value);
  }

  void Prepare(const HttpRequest& request) const {
    const auto left =
        std::chrono::ceil<milliseconds>(request.deadline - std::chrono::steady_clock::now()).count();
    Set(CURLOPT_URL, request.url.c_str());
    Set(CURLOPT_PATH_AS_IS, 1L);  // what is signed is what is sent
    Set(CURLOPT_USERAGENT, "mayfly-fetch");
    Set(CURLOPT_PROTOCOLS_STR, "http,https");
    Set(CURLOPT_REDIR_PROTOCOLS_STR, request.url.starts_with("https://") ? "https" : "http,https");
    Set(CURLOPT_FOLLOWLOCATION, request.follow_redirects ? 1L : 0L);
    Set(CURLOPT_MAXREDIRS, kMostRedirects);
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    Set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    Set(CURLOPT_LOW_SPEED_TIME, kStallSeconds);
    Set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(left, 1)));
    Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (request.settings != nullptr) Trust(*request.settings);
    if (!request.password.empty()) {
      Set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
      Set(CURLOPT_USERNAME, request.username.c_str());
      Set(CURLOPT_PASSWORD, request.password.c_str());
    }
    if (!request.form.empty()) Set(CURLOPT_COPYPOSTFIELDS, request.form.c_str());
    if (IsLoopback(HostOf(request.url))) Set(CURLOPT_PROXY, "");
  }

  void Trust(const std::map<std::string, std::string>& settings) const {
    const auto file = settings.find("SSL_CERT_FILE");
    if (file != settings.end() && !file->second.empty()) Set(CURLOPT_CAINFO, file->second.c_str());
    const auto authority = settings.find("ca.crt");
    if (authority == settings.end() || authority->second.empty()) return;
    const curl_blob blob{const_cast<char*>(authority->second.data()), authority->second.size(),
                         CURL_BLOB_COPY};
    Set(CURLOPT_CAINFO_BLOB, &blob);
    Set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
};

HttpTransfer::HttpTransfer() : handle_(std::make_unique<Handle>()) {}

HttpTransfer::~HttpTransfer() = default;

TransferError HttpTransfer::Run(const HttpRequest& request, const OnHeader& on_header,
                                const OnBody& on_body) {
  ::curl_easy_reset(handle_->easy);
  char error[CURL_ERROR_SIZE] = {};
  handle_->Prepare(request);
  handle_->Set(CURLOPT_ERRORBUFFER, error);
  curl_slist* headers = nullptr;
  for (const std::string& line : request.headers) headers = ::curl_slist_append(headers, line.c_str());
  handle_->Set(CURLOPT_HTTPHEADER, headers);
  Listeners listeners{on_header, on_body};
  handle_->Set(CURLOPT_HEADERFUNCTION, &TakeHeader);
  handle_->Set(CURLOPT_HEADERDATA, &listeners);
  handle_->Set(CURLOPT_WRITEFUNCTION, &TakeBody);
  handle_->Set(CURLOPT_WRITEDATA, &listeners);
  const CURLcode code = ::curl_easy_perform(handle_->easy);
  handle_->Set(CURLOPT_ERRORBUFFER, static_cast<char*>(nullptr));
  ::curl_slist_free_all(headers);
  details_ = error[0] != '\0' ? error : ::curl_easy_strerror(code);
  return ErrorOf(code);
}

long HttpTransfer::code() const {
  long code = 0;
  ::curl_easy_getinfo(handle_->easy, CURLINFO_RESPONSE_CODE, &code);
  return code;
}

std::int64_t HttpTransfer::content_length() const {
  curl_off_t length = -1;
  ::curl_easy_getinfo(handle_->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  return length;
}

void ExportProxies(const std::map<std::string, std::string>& settings) {
  for (const char* name : {"HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"})
    if (const auto found = settings.find(name); found != settings.end())
      ::setenv(name, found->second.c_str(), 1);
}

std::string QueryEscape(const std::string& text) {
  const std::unique_ptr<char, void (*)(void*)> escaped(
      ::curl_easy_escape(nullptr, text.c_str(), static_cast<int>(text.size())), ::curl_free);
  return escaped == nullptr ? "" : escaped.get();
}

std::string HostOf(std::string_view url) {
  std::string_view host = url.substr(url.find("://") + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (const std::size_t at = host.rfind('@'); at != std::string_view::npos) host = host.substr(at + 1);
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos)
    host = host.substr(0, colon);
  return std::string(host);
}

bool IsLoopback(std::string_view host) {
  const bool address = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "localhost" || (address && host.starts_with("127.")) || host == "[::1]";
}

std::string SystemAuthorities() {
  const curl_version_info_data* const about = ::curl_version_info(CURLVERSION_NOW);
  if (about->cainfo == nullptr) return "";
  std::ifstream file(about->cainfo);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace mayfly::runtime
