#include "runtime/artifacts/download.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/match.h"
#include "base/backoff.h"
#include "runtime/artifacts/digest_file.h"
#include "runtime/artifacts/http_transfer.h"
#include "runtime/artifacts/s3_location.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kMostTries = 6;
constexpr std::chrono::seconds kLongestPause{5};
constexpr std::uintmax_t kMostSettingBytes = 64u << 10;

FetchFailure Fail(const char* reason, const std::string& name, std::string_view sentence) {
  return {reason, fmt::format("{} {}", name, sentence)};
}

milliseconds RetryAfter(std::string_view value) {
  int seconds = 0;
  const bool number = std::from_chars(value.data(), value.data() + value.size(), seconds).ec == std::errc();
  return std::chrono::seconds(number && seconds > 0 && seconds < 3600 ? seconds : 0);
}

class Downloader {
 public:
  Downloader(const DownloadTask& task, int fd, const DownloadProgress& progress)
      : task_(task), name_(task.words.name), url_(task.url), target_(fd), progress_(progress) {
    ExportProxies(task_.settings);
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
      if (Clock::now() + pause >= task_.deadline) return failure;
      ::poll(nullptr, 0, static_cast<int>(pause.count()));
    }
    const std::string digest = target_.Digest();
    if (digest == task_.sha256) return std::nullopt;
    return Fail("DigestMismatch", name_, fmt::format("has the SHA-256 {}, {}", digest, task_.words.other));
  }

 private:
  const std::string& Setting(const char* name) const {
    static const std::string none;
    const auto found = task_.settings.find(name);
    return found == task_.settings.end() ? none : found->second;
  }

  // Where, and as whom.
  std::optional<FetchFailure> Locate() {
    if (!url_.starts_with("s3://")) return std::nullopt;
    s3_ = LocateS3(url_, task_.settings);
    if (!s3_)
      return Fail("BadArtifactUrl", name_,
                  "is not an object of a bucket: write s3://BUCKET/KEY, and check AWS_ENDPOINT_URL");
    url_ = s3_->url;
    return std::nullopt;
  }

  // One transfer, from where the last one stopped. `again` if another may go better.
  std::optional<FetchFailure> Try(bool& again) {
    retry_after_ = milliseconds(0);
    begun_ = too_large_ = false;
    content_range_.clear();
    const std::string range = target_.size() == 0 ? "" : fmt::format("bytes={}-", target_.size());
    HttpRequest request{.url = url_,
                        // A signature is for one host.
                        .follow_redirects = !s3_,
                        .settings = &task_.settings,
                        .deadline = task_.deadline};
    if (s3_) {
      request.headers = SignS3Get({s3_->host, s3_->path, range}, s3_->credentials, s3_->region,
                                  std::chrono::system_clock::now());
    } else {
      if (!range.empty()) request.headers.push_back("range: " + range);
      if (!Setting("token").empty()) request.headers.push_back("authorization: Bearer " + Setting("token"));
      request.username = Setting("username");
      request.password = Setting("password");
    }
    if (!range.empty() && !etag_.empty()) request.headers.push_back("if-range: " + etag_);
    const TransferError error = transfer_.Run(
        request, [this](std::string_view name, std::string_view value) { TakeHeader(name, value); },
        [this](std::string_view bytes) { return TakeBody(bytes); });
    return Outcome(error, again);
  }

  void TakeHeader(std::string_view name, std::string_view value) {
    if (name.empty()) response_etag_.clear();
    if (name == "content-range") content_range_ = std::string(value);
    if (name == "etag" && !value.starts_with("W/")) response_etag_ = std::string(value);
    if (name == "retry-after") retry_after_ = RetryAfter(value);
  }

  bool TakeBody(std::string_view bytes) {
    const long code = transfer_.code();
    if (code < 200 || code >= 300) return true;  // what an error says is of no use
    if (!begun_) {
      begun_ = true;
      const bool continues =
          code == 206 && absl::StartsWith(content_range_, fmt::format("bytes {}-", target_.size()));
      if (!continues && target_.size() > 0) target_.Restart();
      etag_ = response_etag_;
      const std::int64_t length = transfer_.content_length();
      total_ = length < 0 ? 0 : target_.size() + static_cast<std::uint64_t>(length);
    }
    too_large_ = std::max(target_.size() + bytes.size(), total_) > task_.most_bytes;
    if (too_large_ || !target_.Write(bytes)) return false;
    progress_(target_.size(), total_);
    return true;
  }

  std::optional<FetchFailure> Outcome(TransferError error, bool& again) {
    if (too_large_) {
      return Fail("TooLarge", name_,
                  fmt::format("has more than {} bytes, the most that are taken: {}", task_.most_bytes,
                              task_.words.large));
    }
    if (target_.error() != 0) {
      return Fail(target_.error() == ENOSPC || target_.error() == EDQUOT ? "NoSpace" : "NotWritable", name_,
                  fmt::format("cannot be kept in {}: {}", task_.folder,
                              std::system_category().message(target_.error())));
    }
    if (error != TransferError::kNone) return OfTransfer(error, again);
    return OfAnswer(transfer_.code(), again);
  }

  std::optional<FetchFailure> OfTransfer(TransferError error, bool& again) {
    switch (error) {
      case TransferError::kUntrusted:
        return Fail("ArtifactUntrusted", name_,
                    fmt::format("cannot be fetched: the server's certificate is not trusted ({}): {}",
                                transfer_.details(), task_.words.untrusted));
      case TransferError::kBadUrl:
        return Fail("BadArtifactUrl", name_, fmt::format("cannot be fetched: {}", transfer_.details()));
      case TransferError::kTooManyRedirects:
        return Fail("BadArtifactUrl", name_,
                    fmt::format("cannot be fetched: it redirects more than {} times", kMostRedirects));
      case TransferError::kNoSuchHost:
        again = true;
        return Fail("ArtifactUnreachable", name_,
                    fmt::format("cannot be fetched: there is no host {} in DNS", HostOf(url_)));
      case TransferError::kTimedOut:
        again = Clock::now() < task_.deadline;
        return Fail(
            "ArtifactUnreachable", name_,
            fmt::format("cannot be fetched: {} of {} bytes came in time ({})", target_.size(),
                        total_ == 0 ? "an unknown number of" : std::to_string(total_), transfer_.details()));
      default:
        again = true;
        return Fail("ArtifactUnreachable", name_, fmt::format("cannot be fetched: {}", transfer_.details()));
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
                  fmt::format("cannot be fetched: the server answers {}, it has no such file: {}", code,
                              task_.words.missing));
    if (code == 401 || code == 403)
      return Fail("ArtifactForbidden", name_,
                  fmt::format("cannot be fetched: the server answers {}, it does not let us: {}", code,
                              task_.words.forbidden));
    if (s3_ && code >= 300 && code < 400)
      return Fail("BadArtifactUrl", name_,
                  fmt::format("cannot be fetched: the server answers {}: the bucket is in another region "
                              "than {}, set AWS_REGION",
                              code, s3_->region));
    again = again || code == 408 || code == 429 || code >= 500;
    return Fail(again ? "ArtifactUnreachable" : "ArtifactForbidden", name_,
                fmt::format("cannot be fetched: the server answers {}", code));
  }

  const DownloadTask& task_;
  const std::string& name_;
  std::string url_;
  std::optional<S3Location> s3_;
  DigestFile target_;
  const DownloadProgress& progress_;
  HttpTransfer transfer_;

  // Of the transfer that runs:
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

std::optional<FetchFailure> Download(const FetchOrder& order, int fd, const DownloadProgress& progress) {
  DownloadTask task{
      .url = order.source.url,
      .sha256 = order.sha256,
      .most_bytes = order.most_bytes,
      .deadline = Clock::now() + order.timeout,
      .folder = order.folder,
      .settings = order.settings,
      .words = {.name = ShownUrl(order.source.url),
                .missing = "put the module there, or mend spec.artifact.url",
                .forbidden = "give what it wants in spec.artifact.credentialsSecret",
                .untrusted = "give its CA as ca.crt in spec.artifact.credentialsSecret",
                .other = fmt::format("and spec.artifact.sha256 wants {}: another file was put there, or the "
                                     "manifest is not of this one",
                                     order.sha256),
                .large = "strip it (strip -g), or put large data elsewhere"}};
  for (auto& [name, value] : ReadSettings(order.credentials_folder)) task.settings[name] = value;
  const auto given = [&task](const char* name) {
    const auto found = task.settings.find(name);
    return found != task.settings.end() && !found->second.empty();
  };
  if ((given("token") || given("password")) && task.url.starts_with("http://") &&
      !IsLoopback(HostOf(task.url))) {
    return Fail("BadArtifactUrl", task.words.name,
                "would be sent the token or the password of spec.artifact.credentialsSecret in clear: "
                "use https://");
  }
  return Download(task, fd, progress);
}

std::optional<FetchFailure> Download(const DownloadTask& task, int fd, const DownloadProgress& progress) {
  return Downloader(task, fd, progress).Run();
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
