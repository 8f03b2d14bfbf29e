#include "gateway/sources/postgres/pg_event.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "base/utf8.h"

namespace mayfly::gateway {
namespace {

// Types of pg_type.dat, which have these numbers in every server.
enum Type : std::uint32_t {
  kBool = 16,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kOid = 26,
  kJson = 114,
  kFloat4 = 700,
  kFloat8 = 701,
  kNumeric = 1700,
  kJsonb = 3802,
};

// Whether it is a number of JSON: NaN and Infinity are none.
bool IsJsonNumber(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - begin;
  };
  if (at < text.size() && text[at] == '-') ++at;
  const std::size_t first = at;
  const std::size_t whole = digits();
  if (whole == 0 || (whole > 1 && text[first] == '0')) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

void AppendValue(std::uint32_t type, const PgValue& value, std::string* json) {
  if (value.kind != PgValue::Kind::kText) {
    *json += "null";
    return;
  }
  switch (type) {
    case kBool:
      if (value.text == "t" || value.text == "f") {
        *json += value.text == "t" ? "true" : "false";
        return;
      }
      break;
    case kInt2:
    case kInt4:
    case kInt8:
    case kOid:
    case kFloat4:
    case kFloat8:
    case kNumeric:
      if (IsJsonNumber(value.text)) {
        *json += value.text;
        return;
      }
      break;
    case kJson:
    case kJsonb:
      if (nlohmann::json::accept(value.text)) {
        *json += value.text;
        return;
      }
      break;
    default:
      break;
  }
  AppendJsonText(value.text, json);
}

// {"id": 7}, of the columns for which `takes` says so.
template <typename Takes>
void AppendRow(const PgTable& table, const PgRow& row, Takes takes, std::string* json) {
  *json += '{';
  bool first = true;
  const std::size_t columns = std::min(row.size(), table.relation.columns.size());
  for (std::size_t n = 0; n < columns; ++n) {
    if (row[n].kind == PgValue::Kind::kUnchanged || !takes(n)) continue;
    if (!first) *json += ',';
    first = false;
    AppendJsonText(table.relation.columns[n].name, json);
    *json += ':';
    AppendValue(table.relation.columns[n].type, row[n], json);
  }
  *json += '}';
}

bool IsKey(const PgTable& table, std::size_t column) {
  return std::find(table.key.begin(), table.key.end(), column) != table.key.end();
}

// The lane is the row: its table and key.
std::string LaneOf(const PgTable& table, const PgRow* row) {
  std::string lane = fmt::format("{}.{}", table.relation.schema, table.relation.name);
  if (row == nullptr) return lane;
  for (const std::size_t column : table.key) {
    if (column >= row->size()) continue;
    lane += '\x1f';
    lane += (*row)[column].text;
  }
  return base::CleanUtf8(lane);
}

std::string TimeText(std::int64_t unix_us) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", absl::FromUnixMicros(unix_us), absl::UTCTimeZone());
}

SourceEvent EventOf(const PgTable& table, std::string_view op, std::int64_t unix_us, const PgPlace& place,
                    const std::string& database) {
  SourceEvent event;
  event.event.set_id(fmt::format("{}-{}-{}", LsnText(place.commit), LsnText(place.change), place.number));
  event.event.set_source(base::CleanUtf8("/postgres/" + database));
  event.event.set_type(fmt::format("dev.mayfly.postgres.{}", op));
  event.event.set_subject(base::CleanUtf8(fmt::format("{}.{}", table.relation.schema, table.relation.name)));
  event.event.set_time(TimeText(unix_us));
  event.event.set_data_content_type("application/json");
  event.body = fmt::format(R"({{"op":"{}","schema":)", op);
  AppendJsonText(table.relation.schema, &event.body);
  event.body += R"(,"table":)";
  AppendJsonText(table.relation.name, &event.body);
  return event;
}

void AppendRows(const PgTable& table, const PgRow* before, bool before_is_key, const PgRow* after,
                std::string* json) {
  // An update that leaves the key as it was has no row before it, unless the table's replica identity is the whole row.
  const PgRow* const keyed = after != nullptr ? after : before;
  *json += R"(,"key":)";
  if (keyed == nullptr || table.key.empty()) {
    *json += "null";
  } else {
    AppendRow(table, *keyed, [&](std::size_t n) { return IsKey(table, n); }, json);
  }
  const auto shown = [&](std::size_t n) { return n >= table.shown.size() || table.shown[n]; };
  *json += R"(,"before":)";
  if (before == nullptr) {
    *json += "null";
  } else {
    AppendRow(
        table, *before,
        [&](std::size_t n) { return before_is_key ? table.relation.columns[n].key : shown(n); }, json);
  }
  *json += R"(,"after":)";
  if (after == nullptr) {
    *json += "null";
  } else {
    AppendRow(table, *after, shown, json);
  }
  if (after == nullptr) return;
  bool any = false;
  for (std::size_t n = 0; n < std::min(after->size(), table.relation.columns.size()); ++n) {
    if ((*after)[n].kind != PgValue::Kind::kUnchanged || !shown(n)) continue;
    *json += any ? "," : R"(,"unchanged":[)";
    any = true;
    AppendJsonText(table.relation.columns[n].name, json);
  }
  if (any) *json += ']';
}

void AppendEnd(const PgBegin& transaction, const PgPlace& place, std::string* json) {
  *json += fmt::format(R"(,"lsn":"{}","commitLsn":"{}","xid":{},"commitTime":"{}"}})", LsnText(place.change),
                       LsnText(place.commit), transaction.xid, TimeText(transaction.unix_us));
}

}  // namespace

void AppendJsonText(std::string_view text, std::string* json) {
  if (!base::IsUtf8(text)) return AppendJsonText(base::CleanUtf8(text), json);
  *json += '"';
  std::size_t plain = 0;  // what has not been appended yet begins here
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    json->append(text, plain, at - plain);
    plain = at + 1;
    if (byte == '"' || byte == '\\') {
      *json += '\\';
      *json += static_cast<char>(byte);
    } else if (byte == '\n') {
      *json += "\\n";
    } else {
      *json += fmt::format("\\u{:04x}", byte);
    }
  }
  json->append(text, plain, text.size() - plain);
  *json += '"';
}

SourceEvent ChangeEvent(const PgTable& table, const PgChange& change, const PgBegin& transaction,
                        const PgPlace& place, const std::string& database) {
  constexpr std::string_view kOps[] = {"insert", "update", "delete"};
  SourceEvent event =
      EventOf(table, kOps[static_cast<int>(change.what)], transaction.unix_us, place, database);
  const PgRow* const before = change.before ? &*change.before : nullptr;
  const PgRow* const after = change.after ? &*change.after : nullptr;
  AppendRows(table, before, change.before_is_key, after, &event.body);
  AppendEnd(transaction, place, &event.body);
  // A key that changes goes with what was there before.
  event.lane = LaneOf(table, before != nullptr ? before : after);
  return event;
}

SourceEvent TruncateEvent(const PgTable& table, const PgBegin& transaction, const PgPlace& place,
                          const std::string& database) {
  SourceEvent event = EventOf(table, "truncate", transaction.unix_us, place, database);
  AppendRows(table, nullptr, false, nullptr, &event.body);
  AppendEnd(transaction, place, &event.body);
  event.lane = LaneOf(table, nullptr);
  return event;
}

SourceEvent SnapshotEvent(const PgTable& table, const PgRow& row, std::int64_t unix_us, const PgPlace& place,
                          const std::string& database) {
  SourceEvent event = EventOf(table, "snapshot", unix_us, place, database);
  AppendRows(table, nullptr, false, &row, &event.body);
  event.body += fmt::format(R"(,"lsn":"{}"}})", LsnText(place.commit));
  event.lane = LaneOf(table, &row);
  return event;
}

}  // namespace mayfly::gateway
