#include "gateway/sources/postgres/pg_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;
using Kind = PgValue::Kind;

PgTable Orders() {
  PgTable table;
  table.relation = {.oid = 1,
                    .schema = "public",
                    .name = "orders",
                    .identity = 'd',
                    .columns = {{"id", 23, true}, {"total", 1700, false}, {"picture", 17, false}}};
  table.shown = {true, true, true};
  table.key = {0};
  return table;
}

TEST(PgEvent, IsNamedByItsPlaceAlone) {
  PgChange change;
  change.after = PgRow{{Kind::kText, "7"}, {Kind::kText, "12.50"}, {Kind::kUnchanged, ""}};
  const PgBegin transaction{.commit = 0x30, .unix_us = 1'777'888'999'000'001, .xid = 5};
  const SourceEvent event = ChangeEvent(Orders(), change, transaction, {0x30, 0x20, 1}, "shop");
  EXPECT_EQ(event.event.id(), "0/30-0/20-1");
  EXPECT_EQ(event.event.source(), "/postgres/shop");
  EXPECT_EQ(event.event.time(), "2026-05-04T10:03:19.000001Z");
  EXPECT_EQ(
      event.body,
      R"({"op":"insert","schema":"public","table":"orders","key":{"id":7},"before":null,)"
      R"("after":{"id":7,"total":12.50},"unchanged":["picture"],"lsn":"0/20","commitLsn":"0/30","xid":5,)"
      R"("commitTime":"2026-05-04T10:03:19.000001Z"})");
}

TEST(PgEvent, IsJsonWhateverIsInTheRow) {
  PgTable table = Orders();
  table.relation.columns = {{"a", 25, false}, {"b", 114, false}, {"c", 1700, false}, {"d", 16, false}};
  table.shown = {true, true, true, true};
  table.key = {};
  PgChange change;
  change.after = PgRow{{Kind::kText, "\"\\\x01\xff\xc3\xa4\n"},
                       {Kind::kText, "{not json"},
                       {Kind::kText, "Infinity"},
                       {Kind::kText, "maybe"}};
  const SourceEvent event = ChangeEvent(table, change, {}, {}, "shop");
  const Json body = Json::parse(event.body);
  EXPECT_EQ(body["after"]["a"], "\"\\\x01\xef\xbf\xbd\xc3\xa4\n");
  EXPECT_EQ(body["after"]["b"], "{not json");
  EXPECT_EQ(body["after"]["c"], "Infinity");
  EXPECT_EQ(body["after"]["d"], "maybe");
  EXPECT_TRUE(body["key"].is_null());
  EXPECT_EQ(event.lane, "public.orders");
}

TEST(PgEvent, TakesNumbersThatAreNoneOfJsonForTexts) {
  PgTable table = Orders();
  table.relation.columns = {{"n", 1700, false}};
  table.shown = {true};
  table.key = {};
  for (const auto& [text, json] : std::vector<std::pair<std::string, std::string>>{{"0", "0"},
                                                                                   {"-0.10", "-0.10"},
                                                                                   {"1e+20", "1e+20"},
                                                                                   {"01", "\"01\""},
                                                                                   {"1.", "\"1.\""},
                                                                                   {"", "\"\""},
                                                                                   {"-", "\"-\""},
                                                                                   {"NaN", "\"NaN\""}}) {
    PgChange change;
    change.after = PgRow{{Kind::kText, text}};
    EXPECT_THAT(ChangeEvent(table, change, {}, {}, "").body, ::testing::HasSubstr("{\"n\":" + json + "}"));
  }
}

}  // namespace
}  // namespace mayfly::gateway
