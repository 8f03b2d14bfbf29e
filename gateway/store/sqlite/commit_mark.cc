#include "gateway/store/sqlite/commit_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "gateway/store/sqlite/write_ahead_log.h"

namespace mayfly::gateway {
namespace {

// "mayfmrk1", the value, and a checksum over both. Of this machine's byte order: the file goes nowhere without its database.
constexpr std::array<std::uint32_t, 2> kKind{0x6661796d, 0x316b726d};
using Record = std::array<std::uint32_t, 8>;

Record Encode(const CommitMark::Value& value) {
  Record record{kKind[0], kKind[1], value.salt1, value.salt2, value.committed, value.in_database, 0, 0};
  const auto sum = LogChecksum({}, std::string_view(reinterpret_cast<const char*>(record.data()), 24), false);
  record[6] = sum.first;
  record[7] = sum.second;
  return record;
}

}  // namespace

CommitMark::CommitMark(std::string path, base::FileDescriptor file)
    : path_(std::move(path)), file_(std::move(file)) {
  Record record{};
  if (::pread(file_.get(), record.data(), sizeof record, 0) != sizeof record) return;
  const Value value{record[2], record[3], record[4], record[5]};
  if (Encode(value) == record) value_ = value;
}

absl::StatusOr<std::unique_ptr<CommitMark>> CommitMark::Open(const std::string& path) {
  base::FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return base::ErrnoStatus(errno, absl::StrCat("open ", path));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return absl::FailedPreconditionError("another process has it");
    return base::ErrnoStatus(errno, absl::StrCat("lock ", path));
  }
  return std::unique_ptr<CommitMark>(new CommitMark(path, std::move(file)));
}

void CommitMark::Set(const Value& value, bool sync) {
  if (value == value_ && !sync) return;
  value_ = value;
  const Record record = Encode(value);
  if (::pwrite(file_.get(), record.data(), sizeof record, 0) == sizeof record &&
      (!sync || ::fdatasync(file_.get()) == 0)) {
    return;
  }
  if (std::exchange(failed_, true)) return;
  base::log::Warn(
      "how much the event store holds cannot be noted: a loss might go unnoticed at the next start",
      {{"file", path_}, {"why", ::strerror(errno)}});
}

}  // namespace mayfly::gateway
