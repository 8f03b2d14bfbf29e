#include "cli/image/registry.h"

#include <httplib.h>

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::json;

constexpr int kConnectSeconds = 10;
constexpr int kAnswerSeconds = 60;
constexpr int kWriteSeconds = 60;

bool IsLoopback(const std::string& host) {
  return absl::StartsWith(host, "localhost:") || host == "localhost" || absl::StartsWith(host, "127.") ||
         absl::StartsWith(host, "[::1]");
}

struct Url {
  std::string origin;  // "https://host:port"
  std::string target;  // path and query
};

std::optional<Url> SplitUrl(const std::string& text) {
  if (!absl::StartsWith(text, "https://") && !absl::StartsWith(text, "http://")) return std::nullopt;
  const std::size_t slash = text.find('/', text.find("://") + 3);
  return Url{text.substr(0, slash), slash == std::string::npos ? "/" : text.substr(slash)};
}

// The parameters of `Bearer realm="…",service="…",scope="…"`.
std::map<std::string, std::string> ReadChallenge(std::string_view text) {
  std::map<std::string, std::string> parameters;
  while (true) {
    const std::size_t equals = text.find("=\"");
    if (equals == std::string_view::npos) return parameters;
    const std::size_t end = text.find('"', equals + 2);
    if (end == std::string_view::npos) return parameters;
    std::string_view name = text.substr(0, equals);
    name = name.substr(name.find_last_of(" ,") == std::string_view::npos ? 0 : name.find_last_of(" ,") + 1);
    parameters[absl::AsciiStrToLower(std::string(name))] = text.substr(equals + 2, end - equals - 2);
    text.remove_prefix(end + 1);
  }
}

std::string QueryEscape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '~') {
      escaped += c;
    } else {
      absl::StrAppend(&escaped, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return escaped;
}

// What the registry's own words are, for the end of a sentence.
std::string Words(const std::string& body) {
  const Json answer = Json::parse(body, nullptr, false);
  if (!answer.is_object() || !answer.contains("errors") || !answer["errors"].is_array() ||
      answer["errors"].empty())
    return "";
  const Json& error = answer["errors"][0];
  const auto text = [&error](const char* key) {
    return error.is_object() && error.contains(key) && error[key].is_string() ? error[key].get<std::string>()
                                                                              : std::string();
  };
  const std::string words = text("message").empty() ? text("code") : text("message");
  return words.empty() ? "" : absl::StrCat(" (", words, ")");
}

class Session {
 public:
  Session(const ImageReference& reference, const PushOptions& options)
      : reference_(reference),
        options_(options),
        origin_(absl::StrCat(options.plain_http || IsLoopback(reference.host) ? "http://" : "https://",
                             reference.Server())),
        base_(absl::StrCat("/v2/", reference.path)) {}

  // Whether it had to be sent.
  absl::StatusOr<bool> PutBlob(const Blob& blob) {
    auto there = Ask("HEAD", origin_, absl::StrCat(base_, "/blobs/", blob.digest), "", "");
    if (!there.ok()) return there.status();
    if (there->status == 200) return false;
    if (there->status != 404) return Refused(*there);
    auto begun = Ask("POST", origin_, base_ + "/blobs/uploads/", "", "");
    if (!begun.ok()) return begun.status();
    if (begun->status != 202) return Refused(*begun);
    const std::string location = begun->get_header_value("Location");
    const std::optional<Url> whole = SplitUrl(location);
    if (!whole && !absl::StartsWith(location, "/"))
      return absl::InternalError(
          absl::StrCat(reference_.host, " says not where to upload to: it is no registry"));
    const std::string target = whole ? whole->target : location;
    auto put = Ask("PUT", whole ? whole->origin : origin_,
                   absl::StrCat(target, target.find('?') == std::string::npos ? "?" : "&",
                                "digest=", QueryEscape(blob.digest)),
                   blob.content, "application/octet-stream");
    if (!put.ok()) return put.status();
    if (put->status != 201) return Refused(*put);
    return true;
  }

  absl::Status PutManifest(const Blob& manifest) {
    auto put = Ask("PUT", origin_, absl::StrCat(base_, "/manifests/", reference_.tag), manifest.content,
                   kManifestType);
    if (!put.ok()) return put.status();
    if (put->status != 201 && put->status != 200) return Refused(*put);
    const std::string digest = put->get_header_value("Docker-Content-Digest");
    if (!digest.empty() && digest != manifest.digest)
      return absl::DataLossError(absl::StrCat(reference_.host, " stored ", digest, " for ", manifest.digest));
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<httplib::Response> Send(const std::string& method, const std::string& origin,
                                         const std::string& target, const std::string& body,
                                         const std::string& type, const std::string& authorization) {
    httplib::Client client(origin);
    if (!client.is_valid()) return absl::InvalidArgumentError(origin + " is no address of a registry");
    client.set_connection_timeout(kConnectSeconds);
    client.set_read_timeout(kAnswerSeconds);
    client.set_write_timeout(kWriteSeconds);
    client.set_url_encode(false);
    httplib::Request request;
    request.method = method;
    request.path = target;
    request.body = body;
    request.set_header("User-Agent", "mayfly");
    if (!type.empty()) request.set_header("Content-Type", type.c_str());
    if (method == "POST" && body.empty()) request.set_header("Content-Length", "0");
    if (!authorization.empty()) request.set_header("Authorization", authorization.c_str());
    httplib::Result result = client.send(request);
    if (!result) return Unreachable(origin, result.error());
    return std::move(result.value());
  }

  static absl::Status Unreachable(const std::string& origin, httplib::Error error) {
    switch (error) {
      case httplib::Error::SSLServerVerification:
      case httplib::Error::SSLLoadingCerts:
        return absl::UnauthenticatedError(
            absl::StrCat(origin, ": its certificate is not trusted: add its CA to this machine's"));
      case httplib::Error::SSLConnection:
        return absl::UnavailableError(
            absl::StrCat(origin, " does not speak TLS: if it has none, say --plain-http"));
      default:
        return absl::UnavailableError(absl::StrCat(origin, " does not answer (", httplib::to_string(error),
                                                   "): is the name right, and does it run?"));
    }
  }

  // Sends, and once more with who we are if it is asked.
  absl::StatusOr<httplib::Response> Ask(const std::string& method, const std::string& origin,
                                        const std::string& target, const std::string& body,
                                        const std::string& type) {
    // Another host that is uploaded to has its permission in the URL.
    const bool own = origin == origin_;
    auto answer = Send(method, origin, target, body, type, own ? authorization_ : "");
    if (!answer.ok() || answer->status != 401 || !own) return answer;
    if (absl::Status status = Authorize(answer->get_header_value("WWW-Authenticate")); !status.ok())
      return status;
    return Send(method, origin, target, body, type, authorization_);
  }

  std::string Basic() const {
    return "Basic " +
           absl::Base64Escape(absl::StrCat(options_.credentials->user, ":", options_.credentials->password));
  }

  absl::Status Authorize(const std::string& challenge) {
    if (absl::StartsWithIgnoreCase(challenge, "Basic")) {
      if (!options_.credentials) return NotLoggedIn();
      authorization_ = Basic();
      return absl::OkStatus();
    }
    std::map<std::string, std::string> parameters = ReadChallenge(challenge);
    const std::optional<Url> realm = SplitUrl(parameters["realm"]);
    if (!absl::StartsWithIgnoreCase(challenge, "Bearer") || !realm) return NotLoggedIn();
    if (absl::StartsWith(realm->origin, "http://") && !absl::StartsWith(origin_, "http://"))
      return absl::PermissionDeniedError(
          absl::StrCat(origin_, " sends passwords to ", realm->origin, ", in clear: it gets none"));
    const std::string scope = absl::StrCat("repository:", reference_.path, ":pull,push");
    const std::string target =
        absl::StrCat(realm->target, realm->target.find('?') == std::string::npos ? "?" : "&",
                     "service=", QueryEscape(parameters["service"]), "&scope=", QueryEscape(scope));
    auto answer = Send("GET", realm->origin, target, "", "", options_.credentials ? Basic() : "");
    if (!answer.ok()) return answer.status();
    if (answer->status == 401 || answer->status == 403) return NotLoggedIn();
    const Json token = Json::parse(answer->body, nullptr, false);
    for (const char* key : {"token", "access_token"}) {
      if (!token.is_object() || !token.contains(key) || !token[key].is_string()) continue;
      authorization_ = "Bearer " + token[key].get<std::string>();
      return absl::OkStatus();
    }
    return absl::UnavailableError(
        absl::StrCat(realm->origin, " answers ", answer->status, " without a token"));
  }

  absl::Status NotLoggedIn() const {
    return absl::UnauthenticatedError(
        options_.credentials
            ? absl::StrCat(reference_.host, " refuses the password of ", options_.credentials->user,
                           ": log in again (docker login ", reference_.host, ")")
            : absl::StrCat(reference_.host, " wants to know who you are: docker login ", reference_.host,
                           " (or podman, buildah)"));
  }

  absl::Status Refused(const httplib::Response& answer) const {
    const std::string words = Words(answer.body);
    switch (answer.status) {
      case 401:
        return NotLoggedIn();
      case 403:
        return absl::PermissionDeniedError(
            absl::StrCat(reference_.host, " does not let you push to ", reference_.path, words));
      case 404:
        return absl::NotFoundError(absl::StrCat(reference_.host, " has no repository ", reference_.path,
                                                ": make it there, or mend the name", words));
      default:
        return absl::UnavailableError(absl::StrCat(reference_.host, " answers ", answer.status, words));
    }
  }

  const ImageReference& reference_;
  const PushOptions& options_;
  const std::string origin_;
  const std::string base_;
  std::string authorization_;
};

}  // namespace

absl::StatusOr<Pushed> PushImage(const ImageReference& reference, const ModuleImage& image,
                                 const PushOptions& options) {
  Session session(reference, options);
  Pushed pushed;
  for (const Blob* blob : {&image.layer, &image.config}) {
    const absl::StatusOr<bool> sent = session.PutBlob(*blob);
    if (!sent.ok()) return sent.status();
    pushed.sent += *sent ? 1 : 0;
  }
  if (const absl::Status status = session.PutManifest(image.manifest); !status.ok()) return status;
  pushed.reference = absl::StrCat(reference.Name(), "@", image.manifest.digest);
  return pushed;
}

}  // namespace mayfly::cli
