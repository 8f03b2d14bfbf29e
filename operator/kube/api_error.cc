#include "operator/kube/api_error.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace mayfly::kube {
namespace {

constexpr char kPayload[] = "mayfly.dev/kubernetes-status";
constexpr std::size_t kMaxCauses = 100;
constexpr std::size_t kMaxForeignText = 200;

struct Row {
  std::string_view reason;
  int http_code;
  absl::StatusCode code;
};

using absl::StatusCode;

// By reason first, since one HTTP code stands for several; by HTTP code where the answer has no reason.
constexpr std::array<Row, 18> kRows{{
    {"BadRequest", 400, StatusCode::kInvalidArgument},
    {"Unauthorized", 401, StatusCode::kUnauthenticated},
    {"Forbidden", 403, StatusCode::kPermissionDenied},
    {"NotFound", 404, StatusCode::kNotFound},
    {"MethodNotAllowed", 405, StatusCode::kUnimplemented},
    {"NotAcceptable", 406, StatusCode::kUnimplemented},
    {"Conflict", 409, StatusCode::kAborted},
    {"AlreadyExists", 409, StatusCode::kAlreadyExists},
    {"Expired", 410, StatusCode::kOutOfRange},
    {"Gone", 410, StatusCode::kOutOfRange},
    {"RequestEntityTooLarge", 413, StatusCode::kInvalidArgument},
    {"UnsupportedMediaType", 415, StatusCode::kInvalidArgument},
    {"Invalid", 422, StatusCode::kInvalidArgument},
    {"TooManyRequests", 429, StatusCode::kResourceExhausted},
    {"InternalError", 500, StatusCode::kUnavailable},
    {"ServerTimeout", 500, StatusCode::kUnavailable},
    {"ServiceUnavailable", 503, StatusCode::kUnavailable},
    {"Timeout", 504, StatusCode::kDeadlineExceeded},
}};

const Row* FindRow(const ApiError& error) {
  const auto by_reason = std::ranges::find(kRows, error.reason, &Row::reason);
  if (!error.reason.empty() && by_reason != kRows.end()) return by_reason;
  const auto by_code = std::ranges::find(kRows, error.http_code, &Row::http_code);
  return by_code != kRows.end() ? by_code : nullptr;
}

StatusCode CodeOf(const ApiError& error) {
  if (const Row* row = FindRow(error)) return row->code;
  return error.http_code >= 500 ? StatusCode::kUnavailable : StatusCode::kInvalidArgument;
}

ApiError ReadError(const JsonView& object) {
  ApiError error;
  error.http_code = static_cast<int>(std::clamp<std::int64_t>(object["code"].Integer(), 0, 999));
  error.reason = object["reason"].Text();
  error.message = object["message"].Text();
  const JsonView details = object["details"];
  details["causes"].ForEachItem([&error](JsonView cause) {
    if (error.causes.size() >= kMaxCauses) return;
    error.causes.push_back({std::string(cause["reason"].Text()), std::string(cause["message"].Text()),
                            std::string(cause["field"].Text())});
  });
  if (const std::int64_t seconds = details["retryAfterSeconds"].Integer(); seconds > 0) {
    error.retry_after = std::chrono::seconds(std::min<std::int64_t>(seconds, 3600));
  }
  return error;
}

// What a proxy or a wrong address answers, fit for one line of a log.
std::string ForeignText(std::string_view body) {
  std::string text(body.substr(0, kMaxForeignText));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

absl::Status StatusFromAnswer(int http_code, std::string_view body,
                              std::optional<std::chrono::seconds> retry_after) {
  ApiError error;
  JsonDocument document;
  if (document.Parse(body).ok() && document.root()["kind"].Text() == "Status") {
    error = ReadError(document.root());
  } else {
    error.message = ForeignText(body);
  }
  error.http_code = http_code;
  if (retry_after) error.retry_after = retry_after;
  return ToStatus(error);
}

absl::Status StatusFromObject(const JsonView& status_object) { return ToStatus(ReadError(status_object)); }

absl::Status ToStatus(const ApiError& error) {
  const Row* row = FindRow(error);
  const std::string reason =
      !error.reason.empty() ? error.reason : std::string(row ? row->reason : "Unknown");
  absl::Status status(CodeOf(error), absl::StrCat(reason, error.message.empty() ? "" : ": ", error.message,
                                                  " (HTTP ", error.http_code, ")"));
  nlohmann::json payload = {{"code", error.http_code}, {"reason", reason}, {"message", error.message}};
  nlohmann::json& details = payload["details"] = nlohmann::json::object();
  for (const ApiError::Cause& cause : error.causes) {
    details["causes"].push_back(
        {{"reason", cause.reason}, {"message", cause.message}, {"field", cause.field}});
  }
  if (error.retry_after) details["retryAfterSeconds"] = error.retry_after->count();
  // As a view: gcc and clang mangle the constructor from a moved string differently.
  const std::string text = payload.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  status.SetPayload(kPayload, absl::Cord(absl::string_view(text)));
  return status;
}

std::optional<ApiError> ApiErrorOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  JsonDocument document;
  if (!payload || !document.Parse(std::string(*payload)).ok()) return std::nullopt;
  return ReadError(document.root());
}

bool IsExpired(const absl::Status& status) {
  if (status.code() != StatusCode::kOutOfRange) return false;
  const auto error = ApiErrorOf(status);
  return error && (error->http_code == 410 || error->reason == "Expired" || error->reason == "Gone");
}

}  // namespace mayfly::kube
