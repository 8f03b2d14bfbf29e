#include "base/status.h"

#include "absl/strings/str_cat.h"

namespace mayfly::base {

absl::Status WithContext(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status wrapped(
      status.code(), absl::StrCat(absl::string_view(context.data(), context.size()), ": ", status.message()));
  status.ForEachPayload(
      [&wrapped](absl::string_view type, const absl::Cord& payload) { wrapped.SetPayload(type, payload); });
  return wrapped;
}

absl::Status ErrnoStatus(int error_number, std::string_view context) {
  return absl::ErrnoToStatus(error_number, absl::string_view(context.data(), context.size()));
}

bool IsRetriable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

}  // namespace mayfly::base
