#include "runtime/artifacts/download.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/backoff.h"
#include "runtime/artifacts/s3_location.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr long kMostRedirects = 5;
constexpr long kConnectSeconds = 10;
constexpr long kStallSeconds = 15;
constexpr int kMostTries = 6;
constexpr std::chrono::seconds kLongestPause{5};
constexpr std::uintmax_t kMostSettingBytes = 64u << 10;

FetchFailure Fail(const char* reason, const std::string& name, std::string_view sentence) {
  return {reason, fmt::format("{} {}", name, sentence)};
}

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host.starts_with("127.") || host == "[::1]";
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

// The file that is written, with its digest so far.
class Target {
 public:
  explicit Target(int fd) : fd_(fd), context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) { Restart(); }

  bool Restart() {
    size_ = 0;
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
    return ::ftruncate(fd_, 0) == 0 && ::lseek(fd_, 0, SEEK_SET) == 0;
  }
  bool Write(std::string_view bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
    size_ += bytes.size();
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        error_ = errno;
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }
  std::string Digest() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &size);
    return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
  }
  std::uint64_t size() const { return size_; }
  int error() const { return error_; }

 private:
  const int fd_;
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
  std::uint64_t size_ = 0;
  int error_ = 0;
};

class Downloader {
 public:
  Downloader(const FetchOrder& order, int fd,
             const std::function<void(std::uint64_t, std::uint64_t)>& progress)
      : order_(order),
        name_(ShownUrl(order.url)),
        deadline_(Clock::now() + order.timeout),
        target_(fd),
        progress_(progress),
        settings_(order.settings),
        easy_(::curl_easy_init(), ::curl_easy_cleanup) {
    for (auto& [name, value] : ReadSettings(order.credentials_folder)) settings_[name] = value;
    // Where libcurl itself looks for them.
    for (const char* name : {"HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"})
      if (const auto found = settings_.find(name); found != settings_.end())
        ::setenv(name, found->second.c_str(), 1);
  }

  std::optional<FetchFailure> Run() {
    if (auto failure = Locate()) return failure;
    for (int failures = 0;;) {
      bool again = false;
      std::optional<FetchFailure> failure = Try(again);
      if (!failure) break;
      if (!again || ++failures >= kMostTries) return failure;
      const auto pause = std::max(
          std::chrono::ceil<milliseconds>(base::JitteredBackoff(failures, milliseconds(200), kLongestPause)),
          std::min<milliseconds>(retry_after_, kLongestPause));
      if (Clock::now() + pause >= deadline_) return failure;
      ::poll(nullptr, 0, static_cast<int>(pause.count()));
    }
    const std::string digest = target_.Digest();
    if (digest == order_.sha256) return std::nullopt;
    return Fail("DigestMismatch", name_,
                fmt::format("has the SHA-256 {}, and spec.artifact.sha256 wants {}: another file was put "
                            "there, or the manifest is not of this one",
                            digest, order_.sha256));
  }

 private:
  const std::string& Setting(const char* name) const {
    static const std::string none;
    const auto found = settings_.find(name);
    return found == settings_.end() ? none : found->second;
  }

  // Where, and as whom.
  std::optional<FetchFailure> Locate() {
    if (order_.url.starts_with("s3://")) {
      s3_ = LocateS3(order_.url, settings_);
      if (!s3_)
        return Fail("BadArtifactUrl", name_,
                    "is not an object of a bucket: write s3://BUCKET/KEY, and check AWS_ENDPOINT_URL");
      url_ = s3_->url;
      return std::nullopt;
    }
    url_ = order_.url;
    const bool secret = !Setting("token").empty() || !Setting("password").empty();
    if (secret && url_.starts_with("http://") && !IsLoopback(HostOf(url_))) {
      return Fail("BadArtifactUrl", name_,
                  "would be sent the token or the password of spec.artifact.credentialsSecret in clear: "
                  "use https://");
    }
    return std::nullopt;
  }

  template <typename Value>
  void Set(CURLoption option, Value value) {
    ::curl_easy_setopt(easy_.get(), option, value);
  }

  // One transfer, from where the last one stopped. `again` if another may go better.
  std::optional<FetchFailure> Try(bool& again) {
    ::curl_easy_reset(easy_.get());
    error_[0] = '\0';
    retry_after_ = milliseconds(0);
    begun_ = too_large_ = false;
    content_range_.clear();
    const std::string range = target_.size() == 0 ? "" : fmt::format("bytes={}-", target_.size());
    curl_slist* headers = nullptr;
    const auto add = [&headers](const std::string& line) {
      headers = ::curl_slist_append(headers, line.c_str());
    };
    if (s3_) {
      for (const std::string& line : SignS3Get({s3_->host, s3_->path, range}, s3_->credentials, s3_->region,
                                               std::chrono::system_clock::now()))
        add(line);
    } else if (!range.empty()) {
      add("range: " + range);
    }
    if (!range.empty() && !etag_.empty()) add("if-range: " + etag_);
    if (!s3_ && !Setting("token").empty()) add("authorization: Bearer " + Setting("token"));
    Prepare(headers);
    const CURLcode code = ::curl_easy_perform(easy_.get());
    ::curl_slist_free_all(headers);
    return Outcome(code, again);
  }

  void Prepare(curl_slist* headers) {
    const auto left = std::chrono::ceil<milliseconds>(deadline_ - Clock::now());
    Set(CURLOPT_URL, url_.c_str());
    Set(CURLOPT_PATH_AS_IS, 1L);  // what is signed is what is sent
    Set(CURLOPT_HTTPHEADER, headers);
    Set(CURLOPT_USERAGENT, "mayfly-fetch");
    Set(CURLOPT_PROTOCOLS_STR, "http,https");
    Set(CURLOPT_REDIR_PROTOCOLS_STR, url_.starts_with("https://") ? "https" : "http,https");
    // A signature is for one host.
    Set(CURLOPT_FOLLOWLOCATION, s3_ ? 0L : 1L);
    Set(CURLOPT_MAXREDIRS, kMostRedirects);
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_ERRORBUFFER, error_);
    Set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    Set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    Set(CURLOPT_LOW_SPEED_TIME, kStallSeconds);
    Set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(left.count(), 1)));
    Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!Setting("SSL_CERT_FILE").empty()) Set(CURLOPT_CAINFO, Setting("SSL_CERT_FILE").c_str());
    if (const std::string& authority = Setting("ca.crt"); !authority.empty()) {
      const curl_blob blob{const_cast<char*>(authority.data()), authority.size(), CURL_BLOB_COPY};
      Set(CURLOPT_CAINFO_BLOB, &blob);
      Set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
    }
    if (!s3_ && !Setting("password").empty()) {
      Set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
      Set(CURLOPT_USERNAME, Setting("username").c_str());
      Set(CURLOPT_PASSWORD, Setting("password").c_str());
    }
    if (IsLoopback(HostOf(url_))) Set(CURLOPT_PROXY, "");
    Set(CURLOPT_WRITEFUNCTION, &Downloader::OnBody);
    Set(CURLOPT_WRITEDATA, this);
    Set(CURLOPT_HEADERFUNCTION, &Downloader::OnHeader);
    Set(CURLOPT_HEADERDATA, this);
  }

  static std::size_t OnHeader(char* data, std::size_t, std::size_t size, void* context) {
    static_cast<Downloader*>(context)->TakeHeader({data, size});
    return size;
  }
  void TakeHeader(absl::string_view line) {
    if (absl::StartsWith(line, "HTTP/")) {
      response_etag_.clear();
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == absl::string_view::npos) return;
    const std::string name = absl::AsciiStrToLower(line.substr(0, colon));
    const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
    if (name == "content-range") content_range_ = std::string(value);
    if (name == "etag" && !absl::StartsWith(value, "W/")) response_etag_ = std::string(value);
    if (name == "retry-after") {
      int seconds = 0;
      if (std::from_chars(value.data(), value.data() + value.size(), seconds).ec == std::errc() &&
          seconds > 0 && seconds < 3600)
        retry_after_ = std::chrono::seconds(seconds);
    }
  }

  static std::size_t OnBody(char* data, std::size_t, std::size_t size, void* context) {
    return static_cast<Downloader*>(context)->TakeBody({data, size}) ? size : CURL_WRITEFUNC_ERROR;
  }
  bool TakeBody(std::string_view bytes) {
    const long code = Code();
    if (code < 200 || code >= 300) return true;  // what an error says is of no use
    if (!begun_) {
      begun_ = true;
      const bool continues =
          code == 206 && absl::StartsWith(content_range_, fmt::format("bytes {}-", target_.size()));
      if (!continues && target_.size() > 0) target_.Restart();
      etag_ = response_etag_;
      curl_off_t length = -1;
      ::curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
      total_ = length < 0 ? 0 : target_.size() + static_cast<std::uint64_t>(length);
    }
    too_large_ = std::max(target_.size() + bytes.size(), total_) > order_.most_bytes;
    if (too_large_ || !target_.Write(bytes)) return false;
    progress_(target_.size(), total_);
    return true;
  }

  long Code() const {
    long code = 0;
    ::curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  std::optional<FetchFailure> Outcome(CURLcode code, bool& again) {
    if (too_large_) {
      return Fail("TooLarge", name_,
                  fmt::format("has more than {} bytes, the most that are taken: strip it (strip -g), or put "
                              "large data elsewhere",
                              order_.most_bytes));
    }
    if (target_.error() != 0) {
      return Fail(target_.error() == ENOSPC || target_.error() == EDQUOT ? "NoSpace" : "NotWritable", name_,
                  fmt::format("cannot be kept in {}: {}", order_.folder,
                              std::system_category().message(target_.error())));
    }
    if (code != CURLE_OK) return OfTransfer(code, again);
    return OfAnswer(Code(), again);
  }

  std::optional<FetchFailure> OfTransfer(CURLcode code, bool& again) {
    const std::string details = error_[0] != '\0' ? error_ : ::curl_easy_strerror(code);
    switch (code) {
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_SSL_ISSUER_ERROR:
        return Fail("ArtifactUntrusted", name_,
                    fmt::format("cannot be fetched: the server's certificate is not trusted ({}): give its "
                                "CA as ca.crt in spec.artifact.credentialsSecret",
                                details));
      case CURLE_URL_MALFORMAT:
      case CURLE_UNSUPPORTED_PROTOCOL:
        return Fail("BadArtifactUrl", name_, fmt::format("cannot be fetched: {}", details));
      case CURLE_TOO_MANY_REDIRECTS:
        return Fail("BadArtifactUrl", name_,
                    fmt::format("cannot be fetched: it redirects more than {} times", kMostRedirects));
      case CURLE_COULDNT_RESOLVE_HOST:
        again = true;
        return Fail("ArtifactUnreachable", name_,
                    fmt::format("cannot be fetched: there is no host {} in DNS", HostOf(url_)));
      case CURLE_OPERATION_TIMEDOUT:
        again = Clock::now() < deadline_;
        return Fail("ArtifactUnreachable", name_,
                    fmt::format("cannot be fetched: {} of {} bytes came in time ({})", target_.size(),
                                total_ == 0 ? "an unknown number of" : std::to_string(total_), details));
      default:
        again = true;
        return Fail("ArtifactUnreachable", name_, fmt::format("cannot be fetched: {}", details));
    }
  }

  std::optional<FetchFailure> OfAnswer(long code, bool& again) {
    if (code >= 200 && code < 300) {
      // An answer without a body is a module of no bytes, which has a digest as well.
      if (!begun_ && target_.size() > 0 && code != 206) target_.Restart();
      return std::nullopt;
    }
    if (code == 416 && target_.size() > 0) {  // it has become shorter: from the beginning
      target_.Restart();
      again = true;
    }
    if (code == 404 || code == 410)
      return Fail("ArtifactNotFound", name_,
                  fmt::format("cannot be fetched: the server answers {}, it has no such file: put the module "
                              "there, or mend spec.artifact.url",
                              code));
    if (code == 401 || code == 403)
      return Fail("ArtifactForbidden", name_,
                  fmt::format("cannot be fetched: the server answers {}, it does not let us: give what it "
                              "wants in spec.artifact.credentialsSecret",
                              code));
    if (s3_ && code >= 300 && code < 400)
      return Fail("BadArtifactUrl", name_,
                  fmt::format("cannot be fetched: the server answers {}: the bucket is in another region "
                              "than {}, set AWS_REGION",
                              code, s3_->region));
    again = again || code == 408 || code == 429 || code >= 500;
    return Fail(again ? "ArtifactUnreachable" : "ArtifactForbidden", name_,
                fmt::format("cannot be fetched: the server answers {}", code));
  }

  const FetchOrder& order_;
  const std::string name_;
  const Clock::time_point deadline_;
  Target target_;
  const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
  std::map<std::string, std::string> settings_;
  const std::unique_ptr<CURL, void (*)(CURL*)> easy_;
  std::string url_;
  std::optional<S3Location> s3_;

  // Of the transfer that runs:
  char error_[CURL_ERROR_SIZE] = {};
  bool begun_ = false;
  bool too_large_ = false;
  std::string content_range_;
  std::string response_etag_;
  milliseconds retry_after_{0};
  // Of the one that wrote last:
  std::string etag_;
  std::uint64_t total_ = 0;
};

}  // namespace

std::optional<FetchFailure> Download(const FetchOrder& order, int fd,
                                     const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  return Downloader(order, fd, progress).Run();
}

std::map<std::string, std::string> ReadSettings(const std::string& folder) {
  std::map<std::string, std::string> settings;
  if (folder.empty()) return settings;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    // A mounted Secret's own are links to files in a folder whose name begins so.
    if (name.starts_with("..") || !it->is_regular_file(ignored) || it->file_size(ignored) > kMostSettingBytes)
      continue;
    std::ifstream file(it->path());
    std::string text{std::istreambuf_iterator<char>(file), {}};
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    settings[name] = std::move(text);
  }
  return settings;
}

}  // namespace mayfly::runtime
