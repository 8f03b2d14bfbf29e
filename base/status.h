// The law of errors.
//
// Functions that can fail return absl::Status or absl::StatusOr. The code says what the caller may do:
//   kUnavailable, kDeadlineExceeded, kAborted, kResourceExhausted   try again, with backoff
//   kNotFound                                                       it is gone; what depended on it may go
//   everything else                                                 terminal: the same again fails again
// Context is added on the way up (WithContext), and the error is logged once, at the top. Exceptions of
// libraries are caught in the one file that wraps the library. Invariants are asserted; input never is.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mayfly::base {

// `status` with "context: " before its message, its payloads kept; an OK status stays as it is.
absl::Status WithContext(const absl::Status& status, std::string_view context);

// An error from errno: "context: No such file or directory", with the code that errno maps to.
absl::Status ErrnoStatus(int error_number, std::string_view context);

// Whether the same call may succeed later.
bool IsRetriable(const absl::Status& status);

}  // namespace mayfly::base
