#include "runtime/artifacts/registry_client.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "base/backoff.h"
#include "base/digest.h"
#include "base/utf8.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Json = nlohmann::json;

constexpr std::size_t kMostTokenBytes = 64u << 10;
constexpr std::size_t kMostWords = 200;
constexpr int kMostTries = 6;
constexpr std::chrono::seconds kLongestPause{5};
constexpr int kLongestRetryAfter = 3600;

// The parameters of `Bearer realm="…",service="…",scope="…"`.
std::map<std::string, std::string> ReadChallenge(std::string_view text) {
  std::map<std::string, std::string> parameters;
  while (true) {
    const std::size_t equals = text.find("=\"");
    if (equals == std::string_view::npos) return parameters;
    const std::size_t end = text.find('"', equals + 2);
    if (end == std::string_view::npos) return parameters;
    std::string_view name = text.substr(0, equals);
    if (const std::size_t before = name.find_last_of(" ,"); before != std::string_view::npos)
      name.remove_prefix(before + 1);
    parameters[absl::AsciiStrToLower(std::string(name))] = text.substr(equals + 2, end - equals - 2);
    text.remove_prefix(end + 1);
  }
}

// "HOST:PORT" of `url`, or "HOST".
std::string_view AuthorityOf(std::string_view url) {
  url.remove_prefix(url.find("://") + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  return url.substr(url.rfind('@') + 1);
}

// The registry's own words, for the end of a sentence; "" if it says nothing.
std::string Words(const std::string& body) {
  const Json answer = Json::parse(body, nullptr, false);
  if (!answer.is_object() || !answer.contains("errors") || !answer["errors"].is_array() ||
      answer["errors"].empty() || !answer["errors"][0].is_object())
    return "";
  const Json& error = answer["errors"][0];
  for (const char* key : {"message", "code"}) {
    if (!error.contains(key) || !error[key].is_string() || error[key].get<std::string>().empty()) continue;
    return fmt::format(" ({})", base::CutUtf8(error[key].get<std::string>(), kMostWords));
  }
  return "";
}

}  // namespace

RegistryClient::RegistryClient(const ImageSource& image, const ImageReference& reference,
                               const std::map<std::string, std::string>& settings, Clock::time_point deadline)
    : image_(image),
      reference_(reference),
      deadline_(deadline),
      origin_((image.plain_http || IsLoopback(HostOf("https://" + reference.host)) ? "http://" : "https://") +
              reference.Server()),
      settings_(settings) {
  ExportProxies(settings_);
  settings_.erase("token");
  settings_.erase("ca.crt");
  if (!image.ca_certificates.empty()) settings_["ca.crt"] = SystemAuthorities() + image.ca_certificates;
}

std::optional<FetchFailure> RegistryClient::GetManifest(const std::string& digest, ImageManifest& manifest) {
  const std::string what = digest.empty() ? reference_.tag : "sha256:" + digest;
  Answer answer;
  if (auto failure = Ask(fmt::format("/v2/{}/manifests/{}", reference_.path, what), answer)) return failure;
  if (answer.too_large) {
    return Fail("BadArtifactImage",
                fmt::format("has a manifest of more than {} bytes: make an image of the module alone",
                            kMostManifestBytes));
  }
  if (answer.code != 200) return OfAnswer(answer, what);
  if (const std::string has = base::Sha256Hex(answer.body); !digest.empty() && has != digest) {
    return Fail(
        "DigestMismatch",
        fmt::format("cannot be fetched: for sha256:{} the registry gives what has the digest sha256:{}: it "
                    "is broken, or somebody has changed it",
                    digest, has));
  }
  absl::StatusOr<ImageManifest> parsed = ParseImageManifest(answer.body);
  if (!parsed.ok()) return Fail("BadArtifactImage", std::string(parsed.status().message()));
  manifest = *std::move(parsed);
  return std::nullopt;
}

DownloadTask RegistryClient::BlobTask(const ImageBlob& blob, const std::string& folder) const {
  DownloadTask task{
      .url = fmt::format("{}/v2/{}/blobs/sha256:{}", origin_, reference_.path, blob.digest),
      .sha256 = blob.digest,
      .most_bytes = blob.bytes,
      .deadline = deadline_,
      .folder = folder,
      .settings = settings_,
      .words = {.name = fmt::format("layer sha256:{} of the image {}", blob.digest, image_.reference),
                .missing = "push the image again",
                .forbidden = "who may read the manifest may not read this; ask who runs the registry",
                .untrusted = "put its CA as ca.crt into a Secret of spec.imagePullSecrets",
                .other = "and the manifest says another: the registry is broken, or somebody has changed it",
                .large = "the manifest says so; the registry is broken, or somebody has changed it"}};
  if (!token_.empty()) task.settings["token"] = token_;
  if (basic_ != nullptr) {
    task.settings["username"] = basic_->username;
    task.settings["password"] = basic_->password;
  }
  return task;
}

FetchFailure RegistryClient::Fail(const char* reason, const std::string& sentence) const {
  return {reason, fmt::format("the image {} {}", image_.reference, sentence)};
}

std::optional<FetchFailure> RegistryClient::Ask(const std::string& path, Answer& answer) {
  std::string challenge;
  for (;;) {
    HttpRequest request{.url = origin_ + path, .headers = {std::string("accept: ") + kManifestTypes}};
    if (!token_.empty()) request.headers.push_back("authorization: Bearer " + token_);
    if (basic_ != nullptr) {
      request.username = basic_->username;
      request.password = basic_->password;
    }
    if (auto failure = Send(std::move(request), kMostManifestBytes, answer)) return failure;
    if (answer.code != 401 && answer.code != 403) return std::nullopt;
    if (!answer.challenge.empty()) challenge = answer.challenge;
    bool in = false;
    if (auto failure = LogIn(challenge, in)) return failure;
    if (!in) return Forbidden(answer.code);
  }
}

std::optional<FetchFailure> RegistryClient::LogIn(const std::string& challenge, bool& in) {
  static const RegistryLogin nobody;
  token_.clear();
  basic_ = nullptr;
  const std::size_t logins = std::max<std::size_t>(image_.logins.size(), 1);
  for (in = false; !in && next_login_ < logins; ++next_login_) {
    const RegistryLogin& login = image_.logins.empty() ? nobody : image_.logins[next_login_];
    if (!login.registry_token.empty()) {
      token_ = login.registry_token;
      in = true;
    } else if (absl::StartsWithIgnoreCase(challenge, "Basic")) {
      if (!login.password.empty()) basic_ = &login;
      in = basic_ != nullptr;
    } else if (absl::StartsWithIgnoreCase(challenge, "Bearer")) {
      if (auto failure = GetToken(login, challenge, in)) return failure;
    }
  }
  return std::nullopt;
}

std::optional<FetchFailure> RegistryClient::GetToken(const RegistryLogin& login, const std::string& challenge,
                                                     bool& in) {
  std::map<std::string, std::string> parameters = ReadChallenge(challenge);
  const std::string& realm = parameters["realm"];
  if (!realm.starts_with("https://") && !(realm.starts_with("http://") && origin_.starts_with("http://"))) {
    return Fail(
        "ArtifactForbidden",
        fmt::format("cannot be fetched: {} wants passwords to be sent to \"{}\", which is no https URL: it "
                    "gets none",
                    reference_.host, base::CutUtf8(realm, kMostWords)));
  }
  const std::string wanted = fmt::format("service={}&scope={}", QueryEscape(parameters["service"]),
                                         QueryEscape("repository:" + reference_.path + ":pull"));
  HttpRequest request{.url = realm};
  if (!login.identity_token.empty()) {
    request.form = fmt::format("grant_type=refresh_token&client_id=mayfly&{}&refresh_token={}", wanted,
                               QueryEscape(login.identity_token));
  } else {
    request.url += (realm.find('?') == std::string::npos ? "?" : "&") + wanted;
    request.username = login.username;
    request.password = login.password;
  }
  Answer answer;
  if (auto failure = Send(std::move(request), kMostTokenBytes, answer)) return failure;
  if (answer.code == 400 || answer.code == 401 || answer.code == 403) return std::nullopt;
  const Json token = Json::parse(answer.body, nullptr, false);
  for (const char* key : {"token", "access_token"}) {
    if (!token.is_object() || !token.contains(key) || !token[key].is_string()) continue;
    token_ = token[key].get<std::string>();
    // One that would end the header is no token.
    in = !token_.empty() && token_.find_first_of("\r\n") == std::string::npos;
    if (in) return std::nullopt;
  }
  return Fail("ArtifactUnreachable",
              fmt::format("cannot be fetched: {}, which {} sends us to, answers {} without a "
                          "token",
                          HostOf(realm), reference_.host, answer.code));
}

std::optional<FetchFailure> RegistryClient::Send(HttpRequest request, std::size_t most_bytes,
                                                 Answer& answer) {
  request.settings = &settings_;
  request.deadline = deadline_;
  for (int failures = 0;;) {
    bool again = false;
    std::optional<FetchFailure> failure = SendOnce(request, most_bytes, answer, again);
    if (!again || ++failures >= kMostTries) return failure;
    const auto pause = std::max(
        std::chrono::ceil<milliseconds>(base::JitteredBackoff(failures, milliseconds(200), kLongestPause)),
        std::min<milliseconds>(answer.retry_after, kLongestPause));
    if (Clock::now() + pause >= deadline_) return failure;
    ::poll(nullptr, 0, static_cast<int>(pause.count()));
  }
}

std::optional<FetchFailure> RegistryClient::SendOnce(const HttpRequest& request, std::size_t most_bytes,
                                                     Answer& answer, bool& again) {
  answer = {};
  const TransferError error = transfer_.Run(
      request,
      [&answer](std::string_view name, std::string_view value) {
        if (name.empty()) answer.challenge.clear();
        // Of several, the one that is served here.
        const bool served =
            absl::StartsWithIgnoreCase(absl::string_view(value.data(), value.size()), "Bearer") ||
            absl::StartsWithIgnoreCase(absl::string_view(value.data(), value.size()), "Basic");
        if (name == "www-authenticate" && served && answer.challenge.empty()) answer.challenge = value;
        if (name != "retry-after") return;
        int seconds = 0;
        const bool number =
            std::from_chars(value.data(), value.data() + value.size(), seconds).ec == std::errc();
        if (number && seconds > 0 && seconds < kLongestRetryAfter)
          answer.retry_after = std::chrono::seconds(seconds);
      },
      [&answer, most_bytes](std::string_view bytes) {
        answer.too_large = answer.body.size() + bytes.size() > most_bytes;
        if (!answer.too_large) answer.body += bytes;
        return !answer.too_large;
      });
  answer.code = transfer_.code();
  if (error != TransferError::kNone && !answer.too_large) return OfTransfer(error, request.url, again);
  again = answer.code == 408 || answer.code == 429 || answer.code >= 500;
  if (again) {
    return Fail("ArtifactUnreachable",
                fmt::format("cannot be fetched: {} answers {}{}", AuthorityOf(request.url), answer.code,
                            Words(answer.body)));
  }
  return std::nullopt;
}

FetchFailure RegistryClient::OfTransfer(TransferError error, const std::string& url, bool& again) const {
  const std::string_view host = AuthorityOf(url);
  switch (error) {
    case TransferError::kUntrusted:
      return Fail(
          "ArtifactUntrusted",
          fmt::format("cannot be fetched: the certificate of {} is not trusted ({}): put its CA as ca.crt "
                      "into a Secret of spec.imagePullSecrets",
                      host, transfer_.details()));
    case TransferError::kNoTls:
      return Fail(
          "ArtifactUntrusted",
          fmt::format("cannot be fetched: {} does not speak TLS ({}): if it has none, name it among the "
                      "operator's --plain-http-registry (the chart's operator.plainHttpRegistries)",
                      host, transfer_.details()));
    case TransferError::kBadUrl:
    case TransferError::kTooManyRedirects:
      return Fail("BadArtifactUrl", fmt::format("cannot be fetched: {} sends us where nobody can go ({})",
                                                host, transfer_.details()));
    case TransferError::kNoSuchHost:
      again = true;
      return Fail(
          "ArtifactUnreachable",
          fmt::format("cannot be fetched: there is no host {} in DNS: mend spec.artifact.image", host));
    case TransferError::kTimedOut:
      again = Clock::now() < deadline_;
      return Fail("ArtifactUnreachable", fmt::format("cannot be fetched: {} did not answer in time ({})",
                                                     host, transfer_.details()));
    default:
      again = true;
      return Fail(
          "ArtifactUnreachable",
          fmt::format("cannot be fetched: {} does not answer ({}): does the registry run, and may pods of "
                      "this namespace reach it?",
                      host, transfer_.details()));
  }
}

FetchFailure RegistryClient::OfAnswer(const Answer& answer, const std::string& what) const {
  if (answer.code == 404) {
    return Fail(
        "ArtifactNotFound",
        fmt::format("cannot be fetched: the registry has no {} of {}{}: push it (mayfly build --push), or "
                    "mend spec.artifact.image",
                    what, reference_.path, Words(answer.body)));
  }
  return Fail("ArtifactForbidden", fmt::format("cannot be fetched: {} answers {}{}", reference_.host,
                                               answer.code, Words(answer.body)));
}

FetchFailure RegistryClient::Forbidden(long code) const {
  if (image_.logins.empty()) {
    return Fail(
        "ArtifactForbidden",
        fmt::format("cannot be fetched: {} answers {}, it wants to know who asks: name a Secret in "
                    "spec.imagePullSecrets that has a login for {} (kubectl create secret docker-registry)",
                    reference_.host, code, reference_.host));
  }
  std::string names;
  for (const RegistryLogin& login : image_.logins)
    if (!login.username.empty()) names += (names.empty() ? " of " : ", ") + login.username;
  return Fail("ArtifactForbidden",
              fmt::format("cannot be fetched: {} answers {}, it does not let in the login{} in "
                          "spec.imagePullSecrets: is the password right, and may it pull {}?",
                          reference_.host, code, names, reference_.path));
}

}  // namespace mayfly::runtime
