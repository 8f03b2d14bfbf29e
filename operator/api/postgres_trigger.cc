#include "operator/api/postgres_trigger.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/api/credentials.h"
#include "operator/api/spec_bounds.h"

namespace mayfly::op {
namespace {

using v1::PostgresTrigger;

constexpr std::array<std::pair<std::string_view, PostgresTrigger::SslMode>, 5> kSslModes = {{
    {"Disable", PostgresTrigger::SSL_DISABLE},
    {"Prefer", PostgresTrigger::SSL_PREFER},
    {"Require", PostgresTrigger::SSL_REQUIRE},
    {"VerifyCA", PostgresTrigger::SSL_VERIFY_CA},
    {"VerifyFull", PostgresTrigger::SSL_VERIFY_FULL},
}};
constexpr std::array<std::pair<std::string_view, PostgresTrigger::Operation>, 4> kOperations = {{
    {"Delete", PostgresTrigger::DELETE},
    {"Insert", PostgresTrigger::INSERT},
    {"Truncate", PostgresTrigger::TRUNCATE},
    {"Update", PostgresTrigger::UPDATE},
}};

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string CheckHost(std::string_view host) {
  const bool right =
      !host.empty() && host.size() <= kMaxPostgresHost && std::all_of(host.begin(), host.end(), [](char c) {
        return IsLetterOrDigit(c) || c == '-' || c == '_' || c == '.' || c == ':';
      });
  return right
             ? ""
             : fmt::format("{} is not the name or address of a server; write one like db.shop", Quote(host));
}

// Of a database, a publication, a column: anything in quotes is one.
std::string CheckName(std::string_view name) {
  const bool right =
      !name.empty() && name.size() <= kMaxPostgresName &&
      std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= ' '; });
  return right ? "" : fmt::format("{} is not a name; {} bytes at most", Quote(name), kMaxPostgresName);
}

std::string CheckSlot(std::string_view name) {
  const bool right =
      !name.empty() && name.size() <= kMaxPostgresName && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
      });
  return right ? ""
               : fmt::format(
                     "{} is not the name of a replication slot; use lower-case letters, digits and "
                     "\"_\", {} at most",
                     Quote(name), kMaxPostgresName);
}

std::string CheckTable(std::string_view name) {
  const std::size_t dot = name.find('.');
  const bool right =
      !name.empty() && name.size() <= kMaxPostgresTable && dot != 0 && dot + 1 != name.size() &&
      std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= ' '; });
  return right ? "" : fmt::format("{} is not a table; write one like public.orders", Quote(name));
}

std::string ReadName(FieldReader& reader, std::string_view field, std::string (*check)(std::string_view)) {
  std::string name;
  if (!reader.Text(field, name)) return "";
  const std::string wrong = check(name);
  if (!wrong.empty()) reader.Wrong(field, wrong);
  return name;
}

// One of two words; the first if the field is absent. True if it is the second.
bool ReadChoice(FieldReader& reader, std::string_view field, std::string_view first,
                std::string_view second) {
  std::string text;
  if (!reader.Text(field, text) || text == first) return false;
  if (text != second)
    reader.Wrong(field, fmt::format("{} is not known; use {} or {}", Quote(text), std::min(first, second),
                                    std::max(first, second)));
  return text == second;
}

void ReadColumns(FieldReader& table, MistakeList& mistakes, PostgresTrigger::Table* to) {
  const std::vector<YamlNode>& items = table.List("columns", kMaxPostgresColumns, "column");
  std::set<std::string> seen;
  for (std::size_t n = 0; n < items.size(); n++) {
    const std::string path = fmt::format("{}[{}]", table.PathOf("columns"), n);
    std::string column;
    if (!ReadText(items[n], path, mistakes, column)) continue;
    const std::string wrong = CheckName(column);
    if (!wrong.empty()) {
      mistakes.Add(items[n], path, wrong);
    } else if (!seen.insert(column).second) {
      mistakes.Add(items[n], path, fmt::format("{} is listed twice; keep one", Quote(column)));
    } else {
      to->add_columns(std::move(column));
    }
  }
}

void ReadTables(FieldReader& reader, MistakeList& mistakes, PostgresTrigger* postgres) {
  const std::vector<YamlNode>& items = reader.List("tables", kMaxPostgresTables, "table");
  std::set<std::string> seen;
  for (std::size_t n = 0; n < items.size(); n++) {
    FieldReader table(items[n], fmt::format("{}[{}]", reader.PathOf("tables"), n), mistakes);
    PostgresTrigger::Table* const added = postgres->add_tables();
    added->set_name(ReadName(table, "name", CheckTable));
    if (table.is_map() && table.Find("name") == nullptr)
      table.Wrong("name", "is missing; name the table, as in name: public.orders");
    if (!added->name().empty() && !seen.insert(added->name()).second)
      table.Wrong("name", fmt::format("{} is listed twice; keep one", Quote(added->name())));
    ReadColumns(table, mistakes, added);
    table.Finish();
  }
}

void ReadOperations(FieldReader& reader, MistakeList& mistakes, PostgresTrigger* postgres) {
  const std::vector<YamlNode>& items = reader.List("operations", kOperations.size(), "operation");
  for (std::size_t n = 0; n < items.size(); n++) {
    const std::string path = fmt::format("{}[{}]", reader.PathOf("operations"), n);
    std::string text;
    if (!ReadText(items[n], path, mistakes, text)) continue;
    const auto known = std::find_if(kOperations.begin(), kOperations.end(),
                                    [&](const auto& each) { return each.first == text; });
    if (known == kOperations.end()) {
      mistakes.Add(items[n], path,
                   fmt::format("{} is not known; use Delete, Insert, Truncate or Update", Quote(text)));
    } else if (std::find(postgres->operations().begin(), postgres->operations().end(), known->second) !=
               postgres->operations().end()) {
      mistakes.Add(items[n], path, fmt::format("{} is listed twice; keep one", Quote(text)));
    } else {
      postgres->add_operations(known->second);
    }
  }
}

void ReadSslMode(FieldReader& reader, PostgresTrigger* postgres) {
  std::string text;
  if (!reader.Text("sslMode", text)) return;
  for (const auto& [word, mode] : kSslModes) {
    if (word == text) return postgres->set_ssl_mode(mode);
  }
  reader.Wrong("sslMode", fmt::format("{} is not known; use Disable, Prefer, Require, VerifyCA or VerifyFull",
                                      Quote(text)));
}

}  // namespace

void ReadPostgres(const YamlNode& node, const std::string& path, MistakeList& mistakes,
                  v1::EventTrigger* trigger) {
  FieldReader reader(node, path, mistakes);
  PostgresTrigger* const postgres = trigger->mutable_postgres();
  postgres->set_host(ReadName(reader, "host", CheckHost));
  if (reader.is_map() && reader.Find("host") == nullptr)
    reader.Wrong("host", "is missing; say where PostgreSQL is, as in host: db.shop");
  std::int32_t port = kPostgresPortDefault;
  reader.Integer("port", kPostgresPort, port);
  postgres->set_port(static_cast<std::uint32_t>(port));
  postgres->set_database(ReadName(reader, "database", CheckName));
  if (reader.is_map() && reader.Find("database") == nullptr)
    reader.Wrong("database", "is missing; name the database whose tables are followed, as in database: shop");
  ReadSslMode(reader, postgres);
  ReadTables(reader, mistakes, postgres);
  ReadOperations(reader, mistakes, postgres);
  postgres->set_publication(ReadName(reader, "publication", CheckName));
  const YamlNode* const tables = reader.Find("tables");
  const bool no_tables =
      tables == nullptr || (tables->kind == YamlNode::Kind::kSequence && tables->items.empty());
  if (reader.is_map() && no_tables && reader.Find("publication") == nullptr)
    reader.Wrong("tables",
                 "is missing; list the tables, as in tables: [{name: public.orders}], or name a publication");
  postgres->set_slot(ReadName(reader, "slot", CheckSlot));
  postgres->set_keep_slot(ReadChoice(reader, "onDelete", "Drop", "Keep"));
  postgres->set_initial_snapshot(ReadChoice(reader, "snapshot", "Never", "Initial"));
  std::chrono::milliseconds heartbeat{0};
  reader.Duration("heartbeat", kPostgresHeartbeat, heartbeat);
  postgres->set_heartbeat_ms(static_cast<std::uint32_t>(heartbeat.count()));
  std::uint64_t lag = 0;
  reader.Quantity("maxLag", kPostgresMaxLag, lag);
  postgres->set_max_lag_bytes(lag);
  trigger->set_secret_name(ReadCredentials(reader, mistakes));
  reader.Finish();
}

}  // namespace mayfly::op
