#include "gateway/sources/redis/redis_trouble.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace mayfly::gateway {
namespace {

using Code = absl::StatusCode;

struct Row {
  std::string_view words;  // part of what the server says
  RedisTrouble trouble;
  Code code;
  std::string_view advice;
};

// The first that fits.
constexpr std::array<Row, 19> kRows = {{
    {"NOGROUP", RedisTrouble::kNoGroup, Code::kNotFound, ""},
    {"UNBLOCKED", RedisTrouble::kNoGroup, Code::kNotFound, ""},
    {"no such key", RedisTrouble::kNoGroup, Code::kNotFound,
     "nothing was added to it yet; it begins with the first XADD"},
    {"WRONGTYPE", RedisTrouble::kRefused, Code::kFailedPrecondition,
     "something else than a stream has this key; name another, or DEL it"},
    {"NOAUTH", RedisTrouble::kElsewhere, Code::kPermissionDenied,
     "name a Secret with username and password in credentials"},
    {"WRONGPASS", RedisTrouble::kElsewhere, Code::kPermissionDenied,
     "see username and password of the Secret in credentials"},
    {"without any password configured", RedisTrouble::kElsewhere, Code::kPermissionDenied,
     "the server's default user has no password: leave credentials out, or name another user"},
    {"NOPERM", RedisTrouble::kRefused, Code::kPermissionDenied,
     "let the trigger's user: ACL SETUSER … ~STREAM +@stream +ping +select +client +eval"},
    {"READONLY", RedisTrouble::kElsewhere, Code::kUnavailable,
     "it is a replica; the trigger needs the primary, and looks for it at this address again"},
    {"MASTERDOWN", RedisTrouble::kElsewhere, Code::kUnavailable, ""},
    {"LOADING", RedisTrouble::kElsewhere, Code::kUnavailable, ""},
    {"MOVED", RedisTrouble::kRefused, Code::kFailedPrecondition,
     "a cluster keeps this stream elsewhere; name the server that has it in server"},
    {"CROSSSLOT", RedisTrouble::kRefused, Code::kFailedPrecondition,
     "in a cluster a trigger's streams must be of one slot: name them like {orders}.eu, or make a trigger of "
     "each"},
    {"CLUSTERDOWN", RedisTrouble::kRefused, Code::kUnavailable, ""},
    {"MISCONF", RedisTrouble::kRefused, Code::kUnavailable,
     "the server cannot save its data, and takes no writes until it can"},
    {"OOM", RedisTrouble::kRefused, Code::kUnavailable,
     "the server is at its maxmemory; trim streams, or raise it"},
    {"NOREPLICAS", RedisTrouble::kRefused, Code::kUnavailable, ""},
    {"unknown command", RedisTrouble::kRefused, Code::kFailedPrecondition,
     "the trigger needs Redis 6.2 or newer, and the commands of streams under their own names"},
    {"DB index is out of range", RedisTrouble::kElsewhere, Code::kFailedPrecondition,
     "see database of the trigger, and databases of the server"},
}};

const Row* Find(std::string_view words) {
  const auto* const row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& each) {
    return words.find(each.words) != std::string_view::npos;
  });
  return row == kRows.end() ? nullptr : row;
}

}  // namespace

RedisTrouble RedisTroubleOf(std::string_view words) {
  const Row* const row = Find(words);
  return row == nullptr ? RedisTrouble::kRefused : row->trouble;
}

absl::Status RedisError(std::string_view words) {
  constexpr std::size_t kMost = 500;
  const Row* const row = Find(words);
  std::string line = base::CleanUtf8(base::CutUtf8(words, kMost));
  std::replace_if(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  if (row == nullptr) return absl::UnavailableError(line);
  return {row->code, row->advice.empty() ? line : fmt::format("{} ({})", line, row->advice)};
}

}  // namespace mayfly::gateway
