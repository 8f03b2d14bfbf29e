// A CommitMark is a small file beside a database that tells, after a crash, how much its write-ahead log must hold.
//
// A log that was cut short, or is gone, looks like one that never held more. So the mark says after each commit which log it
// went to and how long that is then, without a sync of its own: it never says more than is on the disk, and after a power
// cut perhaps less. What a checkpoint has brought into the database the log need not hold any more; that is synced, for
// the log is written anew after it, or removed.
//
// The file is also the store's lock, for as long as the CommitMark lives. Belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/file_descriptor.h"
#include "base/status.h"

namespace mayfly::gateway {

class CommitMark {
 public:
  struct Value {
    std::uint32_t salt1 = 0;  // of the log
    std::uint32_t salt2 = 0;
    std::uint32_t committed = 0;    // its frames up to the last commit
    std::uint32_t in_database = 0;  // those of them that a checkpoint has written back
    bool operator==(const Value&) const = default;
  };

  // kFailedPrecondition if another process has it; otherwise the error names the file.
  static absl::StatusOr<std::unique_ptr<CommitMark>> Open(const std::string& path);

  // Nothing if there was none, or it is not whole.
  const std::optional<Value>& value() const { return value_; }
  // An error is logged once: without the mark only damage is told less surely.
  void Set(const Value& value, bool sync);

 private:
  CommitMark(std::string path, base::FileDescriptor file);

  const std::string path_;
  const base::FileDescriptor file_;
  std::optional<Value> value_;
  bool failed_ = false;
};

}  // namespace mayfly::gateway
