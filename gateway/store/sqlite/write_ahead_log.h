// Reads a write-ahead log of SQLite as SQLite would (sqlite.org/fileformat2.html, section 4), and further: what SQLite takes
// for the end of the log may be damage.
//
// A log is a header and frames, each a page. Frames carry the header's two salts and a checksum over all before them, and
// the last frame of a transaction says that it is one. SQLite replays up to the last commit before the first frame that does
// not fit, without a word about what comes after.
//
// What a crash leaves behind the last commit, with synchronous=FULL: nothing; frames of one unfinished transaction, in any
// state and perhaps with its commit (power went while it was synced, or a spilled page was written twice); those of a
// transaction that was rolled back; and frames of an earlier log, with other salts. The header of a log with a commit was
// synced before it. So a log whose commit is followed by more of the same log behind a frame that does not fit was damaged:
// the next transaction began only after that commit was on the disk. That a log was cut short it cannot tell: CommitMark does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace mayfly::gateway {

struct WriteAheadLog {
  bool empty = true;       // no file, or no room in it for a transaction
  bool has_header = true;  // the header is sound
  // What the header was, if it is not sound and the frames tell; what follows is then of the log with that header.
  std::string lost_header;
  std::uint32_t salt1 = 0;
  std::uint32_t salt2 = 0;
  std::uint32_t committed = 0;  // frames that SQLite replays
  std::uint32_t commits = 0;    // transactions among them
  bool damaged = false;         // no crash explains what comes after them
};

// The checksum of logs, over `bytes` (a multiple of 8), after `before`.
std::pair<std::uint32_t, std::uint32_t> LogChecksum(std::pair<std::uint32_t, std::uint32_t> before,
                                                    std::string_view bytes, bool big_endian);

// `page_bytes` is that of the database, for a log whose header does not tell.
absl::StatusOr<WriteAheadLog> ReadWriteAheadLog(const std::string& path, std::uint32_t page_bytes);

}  // namespace mayfly::gateway
