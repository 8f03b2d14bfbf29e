#include "gateway/store/sqlite/write_ahead_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"

namespace mayfly::gateway {
namespace {

using Checksum = std::pair<std::uint32_t, std::uint32_t>;

constexpr std::uint32_t kMagic = 0x377f0682;  // and 1 if checksums are of big-endian words
constexpr std::uint32_t kFormat = 3007000;
constexpr std::size_t kHeaderBytes = 32;
constexpr std::size_t kFrameHeaderBytes = 24;
// How many numbers of checkpoints are tried for a header whose own is wrong.
constexpr std::uint32_t kMostCheckpoints = 4'096;

std::uint32_t Word(std::string_view bytes, std::size_t at, bool big_endian = true) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 4; ++i)
    word |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << 8 * (big_endian ? 3 - i : i);
  return word;
}

void PutWord(std::string& bytes, std::uint32_t word) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(word >> shift & 0xff));
}

// A header without its checksum.
std::string HeaderOf(bool big_endian, std::uint32_t page_bytes, std::uint32_t checkpoint, std::uint32_t salt1,
                     std::uint32_t salt2) {
  std::string header;
  for (const std::uint32_t word :
       {kMagic | (big_endian ? 1u : 0u), kFormat, page_bytes, checkpoint, salt1, salt2})
    PutWord(header, word);
  return header;
}

// A frame that fits behind `before`, as far as its bytes tell.
std::optional<Checksum> FrameSum(std::string_view frame, Checksum before, bool big_endian) {
  Checksum sum = LogChecksum(before, frame.substr(0, 8), big_endian);
  sum = LogChecksum(sum, frame.substr(kFrameHeaderBytes), big_endian);
  if (Word(frame, 0) == 0 || Word(frame, 16) != sum.first || Word(frame, 20) != sum.second)
    return std::nullopt;
  return sum;
}

// The header that `frame`, the first, was written behind; "" if it does not tell.
std::string FindHeader(std::string_view header, std::string_view frame, std::uint32_t page_bytes) {
  for (const bool big_endian :
       {std::endian::native == std::endian::big, std::endian::native != std::endian::big}) {
    for (std::uint32_t n = 0; n <= kMostCheckpoints; ++n) {
      // The number that is there is the likeliest.
      const std::uint32_t checkpoint = n == 0 ? Word(header, 12) : n - 1;
      std::string maybe = HeaderOf(big_endian, page_bytes, checkpoint, Word(frame, 8), Word(frame, 12));
      const Checksum sum = LogChecksum({}, maybe, big_endian);
      if (!FrameSum(frame, sum, big_endian)) continue;
      PutWord(maybe, sum.first);
      PutWord(maybe, sum.second);
      return maybe;
    }
  }
  return "";
}

class Frames {
 public:
  Frames(int file, std::size_t page_bytes) : file_(file), frame_(kFrameHeaderBytes + page_bytes, '\0') {}

  // The frame of that number, from 0; empty behind the last whole one.
  absl::StatusOr<std::string_view> Read(std::uint32_t number) {
    std::size_t have = 0;
    while (have < frame_.size()) {
      const ssize_t got = ::pread(file_, frame_.data() + have, frame_.size() - have,
                                  static_cast<off_t>(kHeaderBytes + number * frame_.size() + have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return base::ErrnoStatus(errno, "read the event store's write-ahead log");
      if (got == 0) return std::string_view();
      have += static_cast<std::size_t>(got);
    }
    return std::string_view(frame_);
  }

 private:
  const int file_;
  std::string frame_;
};

}  // namespace

Checksum LogChecksum(Checksum before, std::string_view bytes, bool big_endian) {
  auto [first, second] = before;
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    first += Word(bytes, at, big_endian) + second;
    second += Word(bytes, at + 4, big_endian) + first;
  }
  return {first, second};
}

absl::StatusOr<WriteAheadLog> ReadWriteAheadLog(const std::string& path, std::uint32_t page_bytes) {
  WriteAheadLog log;
  const base::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    if (errno == ENOENT) return log;
    return base::ErrnoStatus(errno, absl::StrCat("open ", path));
  }
  std::string header(kHeaderBytes, '\0');
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return base::ErrnoStatus(errno, absl::StrCat("look at ", path));
  // The header is synced before the first frame is written: a file this short had no commit.
  if (info.st_size < static_cast<off_t>(kHeaderBytes + kFrameHeaderBytes)) return log;
  if (::pread(file.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()))
    return base::ErrnoStatus(errno, absl::StrCat("read ", path));
  log.empty = false;

  const auto is_sound = [](std::string_view of) {
    const Checksum sum = LogChecksum({}, of.substr(0, 24), (Word(of, 0) & 1) != 0);
    return (Word(of, 0) & ~1u) == kMagic && Word(of, 4) == kFormat && Word(of, 24) == sum.first &&
           Word(of, 28) == sum.second && std::has_single_bit(Word(of, 8)) && Word(of, 8) >= 512 &&
           Word(of, 8) <= 65'536;
  };
  log.has_header = is_sound(header);
  if (log.has_header) page_bytes = Word(header, 8);
  Frames frames(file.get(), page_bytes);
  absl::StatusOr<std::string_view> frame = frames.Read(0);
  if (!frame.ok()) return frame.status();
  if (!log.has_header) {
    log.empty = frame->empty();
    if (!log.empty) log.lost_header = FindHeader(header, *frame, page_bytes);
    if (log.lost_header.empty()) return log;
    header = log.lost_header;
  }
  log.salt1 = Word(header, 16);
  log.salt2 = Word(header, 20);
  const bool big_endian = (Word(header, 0) & 1) != 0;
  Checksum sum{Word(header, 24), Word(header, 28)};
  bool fits = true;
  bool more_commits = false;
  for (std::uint32_t number = 0; !frame->empty(); ++number) {
    const bool ours = Word(*frame, 8) == log.salt1 && Word(*frame, 12) == log.salt2;
    const bool commit = Word(*frame, 4) != 0;
    const std::optional<Checksum> next =
        fits && ours ? FrameSum(*frame, sum, big_endian) : std::optional<Checksum>();
    fits = next.has_value();
    if (fits) {
      sum = *next;
      if (commit) {
        log.committed = number + 1;
        ++log.commits;
      }
    } else if (ours) {
      log.damaged = log.damaged || more_commits;
      more_commits = more_commits || commit;
    }
    frame = frames.Read(number + 1);
    if (!frame.ok()) return frame.status();
  }
  return log;
}

}  // namespace mayfly::gateway
