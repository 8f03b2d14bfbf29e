// What the API server says went wrong, as an absl::Status that keeps to base/status.h.
//
// Kubernetes answers with an object of kind Status, whose `reason` is the machine's word for the error and
// whose `message` is the person's. The status that callers get has the code that says what they may do:
//
//   reason                                    code                 again?
//   BadRequest, Invalid, RequestEntityTooLarge, UnsupportedMediaType   kInvalidArgument   no
//   Unauthorized                              kUnauthenticated     no (new credentials were tried)
//   Forbidden                                 kPermissionDenied    no
//   NotFound                                  kNotFound            it is gone
//   AlreadyExists                             kAlreadyExists       no
//   Conflict                                  kAborted             yes, having read the object again
//   Gone, Expired                             kOutOfRange          no: list anew
//   TooManyRequests                           kResourceExhausted   yes, after retry_after
//   Timeout                                   kDeadlineExceeded    yes
//   MethodNotAllowed, NotAcceptable           kUnimplemented       no
//   ServerTimeout, ServiceUnavailable, InternalError, other 5xx        kUnavailable       yes
//
// The details ride along as a payload, which base::WithContext keeps.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "operator/kube/json.h"

namespace mayfly::kube {

struct ApiError {
  struct Cause {
    std::string reason;   // "FieldValueInvalid"
    std::string message;  // "Invalid value: 0: must be 1 or more"
    std::string field;    // "spec.concurrency"

    bool operator==(const Cause&) const = default;
  };

  int http_code = 0;
  std::string reason;  // "NotFound"; "" if the answer had none
  std::string message;
  std::vector<Cause> causes;
  std::optional<std::chrono::seconds> retry_after;

  bool operator==(const ApiError&) const = default;
};

// The error of an answer with `http_code`, whose body may be a Status or anything else: a proxy's page, cut.
absl::Status StatusFromAnswer(int http_code, std::string_view body,
                              std::optional<std::chrono::seconds> retry_after);

// The error of a Status object, such as an ERROR event of a watch carries.
absl::Status StatusFromObject(const JsonView& status_object);

// `error` as a Status, with its details as payload.
absl::Status ToStatus(const ApiError& error);

// The details of an error that came from the API server; nothing for any other.
std::optional<ApiError> ApiErrorOf(const absl::Status& status);

// Whether what was to be read is not kept any more: the list or watch must start anew.
bool IsExpired(const absl::Status& status);

}  // namespace mayfly::kube
