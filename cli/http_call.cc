#include "cli/http_call.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mayfly::cli {
namespace {

constexpr std::size_t kMostExplanation = std::size_t{64} << 10;
constexpr long kConnectSeconds = 5;

struct Progress {
  CallAnswer answer;
  const std::function<bool(std::string_view)>& on_body;
  bool refused = false;
};

std::size_t TakeHeader(char* data, std::size_t size, std::size_t count, void* user) {
  CallAnswer& answer = static_cast<Progress*>(user)->answer;
  const absl::string_view line(data, size * count);
  if (absl::StartsWith(line, "HTTP/")) {
    answer.headers.clear();  // of an interim answer
  } else if (const std::size_t colon = line.find(':'); colon != absl::string_view::npos) {
    answer.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  return line.size();
}

std::size_t TakeBody(char* data, std::size_t size, std::size_t count, void* user) {
  Progress& progress = *static_cast<Progress*>(user);
  const std::string_view part(data, size * count);
  std::string& kept = progress.answer.body;
  kept.append(part.substr(0, kMostExplanation - std::min(kept.size(), kMostExplanation)));
  progress.refused = !progress.on_body(part);
  return progress.refused ? 0 : part.size();
}

absl::Status WhyNoAnswer(CURLcode code, const char* detail) {
  const std::string text = *detail == '\0' ? curl_easy_strerror(code) : detail;
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      return absl::UnavailableError(absl::StrCat(text, ": does anything listen there?"));
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::InvalidArgumentError(text);
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError("nothing came for as long as --timeout says");
    default:
      return absl::DataLossError(absl::StrCat("the connection ended before the answer did: ", text));
  }
}

}  // namespace

absl::StatusOr<CallAnswer> SendCall(const HttpRequest& request,
                                    const std::function<bool(std::string_view)>& on_body) {
  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) return absl::ResourceExhaustedError("libcurl has no memory");
  Progress progress{.answer = {}, .on_body = on_body};
  char detail[CURL_ERROR_SIZE] = "";
  curl_slist* list = nullptr;
  // libcurl's own ideas of these would hide what the function does without them.
  for (const char* const unasked : {"Expect:", "Accept:"}) list = curl_slist_append(list, unasked);
  bool has_type = false;
  for (const auto& [name, value] : request.headers) {
    has_type = has_type || absl::EqualsIgnoreCase(name, "Content-Type");
    // An empty one is written with a semicolon.
    list = curl_slist_append(list, (value.empty() ? name + ";" : absl::StrCat(name, ": ", value)).c_str());
  }
  if (!has_type) list = curl_slist_append(list, "Content-Type:");
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, curl_slist_free_all);

  CURL* const curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "mayfly/" MAYFLY_VERSION);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.timeout_seconds));
  if (request.has_body) {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &TakeHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &progress);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &TakeBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &progress);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
  const CURLcode code = curl_easy_perform(curl);
  if (progress.refused) return absl::AbortedError("the answer could not be written");
  if (code != CURLE_OK) return WhyNoAnswer(code, detail);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  progress.answer.status = static_cast<int>(status);
  return std::move(progress.answer);
}

}  // namespace mayfly::cli
