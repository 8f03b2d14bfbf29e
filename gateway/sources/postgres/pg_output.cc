#include "gateway/sources/postgres/pg_output.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace mayfly::gateway {
namespace {

// From 1970 to 2000, where the server's time begins.
constexpr std::int64_t kEpochUs = 946'684'800'000'000;
constexpr std::size_t kMostColumns = 1'664;  // of a row, in any server

// Reads from the front; once something is missing, everything is, and ok() says so.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  std::uint64_t Number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const char byte : Take(bytes)) value = value << 8 | static_cast<std::uint8_t>(byte);
    return value;
  }
  std::uint8_t Byte() { return static_cast<std::uint8_t>(Number(1)); }
  std::uint32_t Word() { return static_cast<std::uint32_t>(Number(4)); }
  std::int64_t Time() { return static_cast<std::int64_t>(Number(8)); }
  std::string_view Take(std::size_t bytes) {
    if (bytes > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  std::string_view Text() {
    const std::size_t end = rest_.find('\0');
    if (end == std::string_view::npos) return Take(rest_.size() + 1);
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(
      fmt::format("the server sent a replication message that cannot be read: {}", what));
}

std::int64_t ToUnix(std::int64_t server_us) {
  std::int64_t unix_us = 0;
  return __builtin_add_overflow(server_us, kEpochUs, &unix_us) ? 0 : unix_us;
}

bool ReadRow(Reader& reader, PgRow* row) {
  const std::size_t columns = reader.Number(2);
  if (columns > kMostColumns) return false;
  row->reserve(columns);
  for (std::size_t n = 0; n < columns && reader.ok(); ++n) {
    PgValue value;
    switch (reader.Byte()) {
      case 'n':
        break;
      case 'u':
        value.kind = PgValue::Kind::kUnchanged;
        break;
      case 't':
        value.kind = PgValue::Kind::kText;
        value.text = reader.Take(reader.Word());
        break;
      default:
        return false;
    }
    row->push_back(value);
  }
  return reader.ok();
}

absl::StatusOr<PgMessage> ReadRelation(Reader& reader) {
  PgRelation relation;
  relation.oid = reader.Word();
  relation.schema = reader.Text();
  if (relation.schema.empty()) relation.schema = "pg_catalog";
  relation.name = reader.Text();
  relation.identity = static_cast<char>(reader.Byte());
  const std::size_t columns = reader.Number(2);
  if (columns > kMostColumns) return Wrong("a table has too many columns");
  for (std::size_t n = 0; n < columns && reader.ok(); ++n) {
    PgColumn column;
    column.key = (reader.Byte() & 1) != 0;
    column.name = reader.Text();
    column.type = reader.Word();
    reader.Word();  // the type's modifier
    relation.columns.push_back(std::move(column));
  }
  if (!reader.ok()) return Wrong("the description of a table is cut short");
  return relation;
}

absl::StatusOr<PgMessage> ReadChange(Reader& reader, PgChange::What what) {
  PgChange change;
  change.what = what;
  change.relation = reader.Word();
  char part = static_cast<char>(reader.Byte());
  if (what != PgChange::What::kInsert && (part == 'K' || part == 'O')) {
    change.before_is_key = part == 'K';
    if (!ReadRow(reader, &change.before.emplace())) return Wrong("the row before a change is cut short");
    part = what == PgChange::What::kUpdate ? static_cast<char>(reader.Byte()) : '\0';
  }
  if (what == PgChange::What::kDelete) {
    if (!change.before) return Wrong("a deletion has no row");
  } else {
    if (part != 'N') return Wrong("a change has no row");
    if (!ReadRow(reader, &change.after.emplace())) return Wrong("the row after a change is cut short");
  }
  return change;
}

absl::StatusOr<PgMessage> ReadTruncate(Reader& reader) {
  const std::uint32_t count = reader.Word();
  reader.Byte();  // CASCADE, RESTART IDENTITY
  if (!reader.ok() || count > reader.rest().size() / 4) return Wrong("a truncation is cut short");
  PgTruncate truncate;
  for (std::uint32_t n = 0; n < count; ++n) truncate.relations.push_back(reader.Word());
  return truncate;
}

}  // namespace

std::string LsnText(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xFFFFFFFF); }

std::optional<Lsn> ReadLsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::uint32_t halves[2] = {0, 0};
  const std::string_view parts[2] = {text.substr(0, slash), text.substr(slash + 1)};
  for (int n = 0; n < 2; ++n) {
    const char* const end = parts[n].data() + parts[n].size();
    const auto [stopped, error] = std::from_chars(parts[n].data(), end, halves[n], 16);
    if (parts[n].empty() || error != std::errc() || stopped != end) return std::nullopt;
  }
  return Lsn{halves[0]} << 32 | halves[1];
}

absl::StatusOr<std::variant<PgWalData, PgKeepalive>> ReadFrame(std::string_view bytes) {
  Reader reader(bytes);
  const std::uint8_t kind = reader.Byte();
  if (kind == 'w') {
    PgWalData data;
    data.start = reader.Number(8);
    reader.Number(8);  // the end of the log
    reader.Number(8);  // the time
    if (!reader.ok()) return Wrong("a frame is cut short");
    data.message = reader.rest();
    return data;
  }
  if (kind != 'k') return Wrong("a frame of an unknown kind");
  PgKeepalive keepalive;
  keepalive.end = reader.Number(8);
  reader.Number(8);
  keepalive.wants_reply = reader.Byte() != 0;
  if (!reader.ok()) return Wrong("a keepalive is cut short");
  return keepalive;
}

std::string StandbyStatus(Lsn confirmed, std::int64_t unix_us, bool wants_reply) {
  std::string bytes = "r";
  const auto put = [&](std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFF);
  };
  put(confirmed);  // written
  put(confirmed);  // flushed
  put(confirmed);  // applied
  put(static_cast<std::uint64_t>(unix_us - kEpochUs));
  bytes += static_cast<char>(wants_reply);
  return bytes;
}

absl::StatusOr<PgMessage> ReadPgOutput(std::string_view bytes) {
  Reader reader(bytes);
  switch (reader.Byte()) {
    case 'B': {
      PgBegin begin;
      begin.commit = reader.Number(8);
      begin.unix_us = ToUnix(reader.Time());
      begin.xid = reader.Word();
      if (!reader.ok()) return Wrong("a beginning is cut short");
      return begin;
    }
    case 'C': {
      reader.Byte();
      reader.Number(8);  // where the commit is
      PgCommit commit;
      commit.end = reader.Number(8);
      reader.Number(8);
      if (!reader.ok()) return Wrong("a commit is cut short");
      return commit;
    }
    case 'R':
      return ReadRelation(reader);
    case 'I':
      return ReadChange(reader, PgChange::What::kInsert);
    case 'U':
      return ReadChange(reader, PgChange::What::kUpdate);
    case 'D':
      return ReadChange(reader, PgChange::What::kDelete);
    case 'T':
      return ReadTruncate(reader);
    case 'O':  // where a change was made first
    case 'Y':  // a type's name
    case 'M':  // what somebody wrote into the log
      return PgNothing();
    default:
      return Wrong("a message of an unknown kind");
  }
}

}  // namespace mayfly::gateway
