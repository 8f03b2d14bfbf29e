// What a PostgreSQL server sends on a replication connection, one message after the other: each after two bytes of its size.
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "gateway/sources/postgres/pg_event.h"
#include "gateway/sources/postgres/pg_output.h"

using namespace mayfly;
using namespace mayfly::gateway;

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// The handler gets JSON, and the event can be told to others, whatever the row was.
void Check(const SourceEvent& event) {
  Require(nlohmann::json::accept(event.body));
  Require(!event.event.id().empty() && !event.event.type().empty());
  v1::Event copy;
  Require(copy.ParseFromString(event.event.SerializeAsString()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::map<std::uint32_t, PgTable> tables;
  PgBegin transaction;
  while (input.size() > 2) {
    const std::size_t length = static_cast<std::uint8_t>(input[0]) << 8 | static_cast<std::uint8_t>(input[1]);
    const std::string_view bytes = input.substr(2, length);
    input.remove_prefix(std::min(input.size(), length + 2));
    (void)ReadFrame(bytes);
    auto message = ReadPgOutput(bytes);
    if (!message.ok()) continue;
    if (const auto* const begin = std::get_if<PgBegin>(&*message)) {
      transaction = *begin;
    } else if (auto* const relation = std::get_if<PgRelation>(&*message)) {
      PgTable table;
      for (std::size_t n = 0; n < relation->columns.size(); ++n) {
        table.shown.push_back(n % 3 != 2);
        if (relation->columns[n].key) table.key.push_back(n);
      }
      table.relation = std::move(*relation);
      tables[table.relation.oid] = std::move(table);
    } else if (const auto* const change = std::get_if<PgChange>(&*message)) {
      const auto table = tables.find(change->relation);
      if (table == tables.end()) continue;
      Check(ChangeEvent(table->second, *change, transaction, {1, 2, 3}, "d"));
      if (change->after) Check(SnapshotEvent(table->second, *change->after, 0, {1, 2, 3}, "d"));
    } else if (const auto* const truncate = std::get_if<PgTruncate>(&*message)) {
      for (const std::uint32_t oid : truncate->relations) {
        if (const auto table = tables.find(oid); table != tables.end())
          Check(TruncateEvent(table->second, transaction, {1, 2, 3}, "d"));
      }
    }
  }
  return 0;
}
