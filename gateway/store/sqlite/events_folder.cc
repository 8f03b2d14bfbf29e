#include "gateway/store/sqlite/events_folder.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mayfly::gateway {
namespace {

namespace fs = std::filesystem;

absl::Status MakeFolder(const fs::path& folder, std::string_view option) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return absl::OkStatus();
  if (folder.has_parent_path() && folder.parent_path() != folder) {
    if (absl::Status status = MakeFolder(folder.parent_path(), option); !status.ok()) return status;
  }
  if (folder.filename().empty() || ::mkdir(folder.c_str(), 0700) == 0) return absl::OkStatus();
  const int made = errno;
  if (made == EEXIST && fs::is_directory(folder, error)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("cannot make the folder ", folder.string(),
                                                    " for events (", std::strerror(made),
                                                    "): choose another with ", std::string(option)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteEventStore>> OpenEventsFolder(const std::string& folder,
                                                                   std::string_view option,
                                                                   const base::Clock& clock) {
  if (absl::Status status = MakeFolder(folder, option); !status.ok()) return status;
  SqliteStoreOptions options;
  options.path = folder + "/events.db";
  return SqliteEventStore::Open(std::move(options), clock);
}

}  // namespace mayfly::gateway
