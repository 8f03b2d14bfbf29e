// A PgSnapshot reads the rows that a publication's tables had at one moment, some at a time, each as an event.
//
// Not thread-safe; its statements wait as PgConnection's do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/sources/postgres/pg_slot.h"
#include "gateway/sources/postgres/pg_window.h"

namespace mayfly::gateway {

class PgSnapshot {
 public:
  // `settings` and `cancel` must outlive it. The snapshot of `slot` must be there until this has returned.
  static absl::StatusOr<std::unique_ptr<PgSnapshot>> Open(const PostgresSettings& settings,
                                                          const PgSignal& cancel, const PgNewSlot& slot);

  // Adds some rows to `window`, in the transaction of the slot's point. False once there are no more.
  absl::StatusOr<bool> Read(std::int64_t unix_us, PgWindow* window);

 private:
  PgSnapshot(const PostgresSettings& settings, Lsn point) : settings_(settings), point_(point) {}
  absl::Status OpenTable();

  const PostgresSettings& settings_;
  const Lsn point_;
  std::unique_ptr<PgConnection> connection_;
  std::vector<PgRelation> tables_;
  std::size_t next_ = 0;  // among the tables; the one before is being read
  bool open_ = false;
  PgTable table_;
  Lsn row_ = 0;  // its number, of all tables
};

}  // namespace mayfly::gateway
