// A UsageFolder keeps usage records in files that only grow: what is appended is on the disk when Append() returns.
//
// A process begins a file of its own with its first record, and another whenever one is full; their names are in the order of time.
// The folder is bounded: when there is more than may be, the oldest files are removed, which is logged and counted. Who bills by
// records copies files that are no longer written, which are all but the newest of each process, or reads them where they are.
//
// A record that was half written when the process was killed or the disk was full is cut off, or is the last in its file and
// has no end: readers leave that out, and it is written again, whole, by the same process if that lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/metrics.h"
#include "base/status.h"
#include "gateway/metering/usage_record.h"
#include "gateway/metering/usage_sink.h"

namespace mayfly::gateway {

struct UsageFolderOptions {
  std::string folder;
  std::uint64_t most_bytes_of_file = 16u << 20;
  std::uint64_t most_bytes = 256u << 20;
  std::size_t most_files = 1000;
};

class UsageFolder final : public UsageSink {
 public:
  // Makes the folder, for its owner alone, if it is missing. kFailedPrecondition, naming `option`, if it cannot be. `clock` and
  // `metrics` must outlive the folder.
  static absl::StatusOr<std::unique_ptr<UsageFolder>> Open(UsageFolderOptions options,
                                                           std::string_view option, const base::Clock& clock,
                                                           base::Metrics& metrics);

  absl::Status Append(const std::string& lines) override;

 private:
  UsageFolder(UsageFolderOptions options, const base::Clock& clock, base::Metrics& metrics);

  absl::Status Begin();
  void Prune();
  absl::Status Spoil(int error, const std::string& what);

  const UsageFolderOptions options_;
  const base::Clock& clock_;
  base::Metrics& metrics_;
  base::FileDescriptor file_;
  std::string path_;
  std::uint64_t size_ = 0;
};

// Calls `each` with every record in the files of `folder`, or in the one file that it is, oldest file first. Lines
// that are no records are left out. kNotFound if there is no such path.
absl::Status ReadUsage(const std::string& folder, const std::function<void(const UsageRecord&)>& each);

}  // namespace mayfly::gateway
