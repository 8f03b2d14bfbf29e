#include "gateway/store/sqlite/log_review.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"

namespace mayfly::gateway {

absl::StatusOr<LogReview> ReviewLog(const std::string& path, const std::optional<CommitMark::Value>& mark,
                                    std::uint32_t page_bytes) {
  absl::StatusOr<WriteAheadLog> log = ReadWriteAheadLog(path + "-wal", page_bytes);
  if (!log.ok()) return log.status();
  LogReview review{.log = *std::move(log), .trouble = "", .costs = false, .needless = false};
  const WriteAheadLog& found = review.log;
  const bool needed = mark && mark->committed > mark->in_database;
  const bool same = mark && found.salt1 == mark->salt1 && found.salt2 == mark->salt2;
  if (found.empty) {
    if (needed) review.trouble = "its write-ahead log is gone, or cut off at its beginning";
  } else if (!found.has_header && found.lost_header.empty()) {
    review.trouble = "its write-ahead log has a damaged header and cannot be read";
  } else if (mark && !same && needed) {
    review.trouble = "its write-ahead log is not the one that was last written";
  } else if (found.damaged || (same && found.committed < mark->committed)) {
    review.trouble = absl::StrCat("its write-ahead log is damaged or cut off behind page ", found.committed);
    if (mark && same) absl::StrAppend(&review.trouble, " of at least ", mark->committed);
    review.needless = same && !needed && !found.damaged;
  }
  review.costs = !review.trouble.empty() && !review.needless;
  if (!found.has_header && !found.lost_header.empty()) {
    review.trouble = absl::StrCat(
        "its write-ahead log has a damaged header",
        review.trouble.empty() ? ", which could be made anew" : absl::StrCat("; ", review.trouble));
  }
  return review;
}

absl::Status MendLog(const std::string& path, const LogReview& review) {
  const std::string name = path + "-wal";
  if (review.needless) {
    if (::truncate(name.c_str(), 0) == 0) return absl::OkStatus();
  } else if (!review.log.lost_header.empty()) {
    const std::string& header = review.log.lost_header;
    const base::FileDescriptor file(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
    if (file &&
        ::pwrite(file.get(), header.data(), header.size(), 0) == static_cast<ssize_t>(header.size()) &&
        ::fsync(file.get()) == 0) {
      return absl::OkStatus();
    }
  } else {
    return absl::OkStatus();
  }
  return base::ErrnoStatus(errno, absl::StrCat("mend ", name));
}

}  // namespace mayfly::gateway
