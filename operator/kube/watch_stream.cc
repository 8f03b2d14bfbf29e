#include "operator/kube/watch_stream.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "operator/kube/api_error.h"

namespace mayfly::kube {
namespace {

constexpr std::size_t kSmallRest = 64u << 10;

bool IsBlank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

absl::Status WatchStream::Feed(std::string_view bytes, absl::FunctionRef<void(const WatchEvent&)> on_event) {
  const base::MonotonicTime arrived = std::chrono::steady_clock::now();
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    if (rest_.size() + std::min(end, bytes.size()) > kMaxLine) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the watch sent an event of more than ", kMaxLine >> 20, " MiB"));
    }
    if (end == std::string_view::npos) {
      rest_.append(bytes);
      return absl::OkStatus();
    }
    std::string_view line = bytes.substr(0, end);
    if (!rest_.empty()) {
      rest_.append(line);
      line = rest_;
    }
    bytes.remove_prefix(end + 1);
    if (absl::Status read = ReadLine(line, arrived, on_event); !read.ok()) return read;
    rest_.clear();
    if (rest_.capacity() > kSmallRest) rest_.shrink_to_fit();
  }
  return absl::OkStatus();
}

absl::Status WatchStream::Finish() const {
  if (IsBlank(rest_)) return absl::OkStatus();
  return absl::UnavailableError("the watch was cut off within an event");
}

absl::Status WatchStream::ReadLine(std::string_view line, base::MonotonicTime arrived,
                                   absl::FunctionRef<void(const WatchEvent&)> on_event) {
  if (IsBlank(line)) return absl::OkStatus();
  if (absl::Status parsed = document_.Parse(line); !parsed.ok()) {
    return base::WithContext(parsed, "the watch sent an event that cannot be read");
  }
  const std::string_view type = document_.root()["type"].Text();
  const JsonView object = document_.root()["object"];
  if (type == "ERROR") return StatusFromObject(object);
  if (!object.is_object()) return absl::InvalidArgumentError("the watch sent an event without an object");
  if (type == "ADDED") {
    on_event({WatchEvent::Type::kAdded, object, arrived});
  } else if (type == "MODIFIED") {
    on_event({WatchEvent::Type::kModified, object, arrived});
  } else if (type == "DELETED") {
    on_event({WatchEvent::Type::kDeleted, object, arrived});
  } else if (type == "BOOKMARK") {
    on_event({WatchEvent::Type::kBookmark, object, arrived});
  } else {
    return absl::InvalidArgumentError(absl::StrCat("the watch sent an event of unknown type \"",
                                                   absl::CEscape(std::string(type.substr(0, 50))), "\""));
  }
  return absl::OkStatus();
}

}  // namespace mayfly::kube
