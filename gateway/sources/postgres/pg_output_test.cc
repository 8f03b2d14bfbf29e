#include "gateway/sources/postgres/pg_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::gateway {
namespace {

using namespace std::string_literals;

std::string Number(std::uint64_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xFF);
  return text;
}

TEST(PgOutput, WritesPlacesAsTheServerDoes) {
  EXPECT_EQ(LsnText(0x16B374D848), "16/B374D848");
  EXPECT_EQ(ReadLsn("16/B374D848"), 0x16B374D848u);
  EXPECT_EQ(ReadLsn("0/0"), 0u);
  for (const char* wrong : {"", "/", "1/", "/1", "1", "1/G", "1/123456789", "-1/2", " 1/2"})
    EXPECT_FALSE(ReadLsn(wrong)) << wrong;
}

TEST(PgOutput, ReadsAnUpdateWithBothRows) {
  const std::string bytes = "U"s + Number(7, 4) + "O" + Number(3, 2) + "t" + Number(1, 4) + "a" + "n" + "u" +
                            "N" + Number(1, 2) + "t" + Number(2, 4) + "bc";
  const auto message = ReadPgOutput(bytes);
  ASSERT_TRUE(message.ok()) << message.status();
  const auto& change = std::get<PgChange>(*message);
  EXPECT_EQ(change.what, PgChange::What::kUpdate);
  EXPECT_EQ(change.relation, 7u);
  EXPECT_FALSE(change.before_is_key);
  ASSERT_EQ(change.before->size(), 3u);
  EXPECT_EQ((*change.before)[0].text, "a");
  EXPECT_EQ((*change.before)[1].kind, PgValue::Kind::kNull);
  EXPECT_EQ((*change.before)[2].kind, PgValue::Kind::kUnchanged);
  EXPECT_EQ((*change.after)[0].text, "bc");
}

TEST(PgOutput, ReadsATable) {
  const std::string bytes = "R"s + Number(9, 4) + "public\0orders\0"s + "d" + Number(2, 2) + "\1" + "id\0"s +
                            Number(23, 4) + Number(0, 4) + "\0note\0"s + Number(25, 4) + Number(0, 4);
  const auto message = ReadPgOutput(bytes);
  ASSERT_TRUE(message.ok()) << message.status();
  const auto& relation = std::get<PgRelation>(*message);
  EXPECT_EQ(relation.schema, "public");
  EXPECT_EQ(relation.name, "orders");
  EXPECT_EQ(relation.columns[0].name, "id");
  EXPECT_TRUE(relation.columns[0].key);
  EXPECT_EQ(relation.columns[1].type, 25u);
  EXPECT_FALSE(relation.columns[1].key);
}

TEST(PgOutput, RefusesWhateverIsCutShort) {
  const std::vector<std::string> whole = {
      "B"s + Number(1, 8) + Number(2, 8) + Number(3, 4),
      "C\0"s + Number(1, 8) + Number(2, 8) + Number(3, 8),
      "I"s + Number(7, 4) + "N" + Number(1, 2) + "t" + Number(1, 4) + "a",
      "D"s + Number(7, 4) + "K" + Number(1, 2) + "t" + Number(1, 4) + "a",
      "T"s + Number(2, 4) + "\0"s + Number(7, 4) + Number(8, 4),
      "R"s + Number(9, 4) + "s\0t\0d"s + Number(1, 2) + "\0c\0"s + Number(23, 4) + Number(0, 4),
  };
  for (const std::string& bytes : whole) {
    EXPECT_TRUE(ReadPgOutput(bytes).ok()) << bytes[0];
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(ReadPgOutput(bytes.substr(0, size)).ok()) << bytes[0] << " of " << size;
  }
  // More columns than bytes, and than any table has.
  EXPECT_FALSE(ReadPgOutput("I"s + Number(7, 4) + "N" + Number(65'535, 2)).ok());
  EXPECT_FALSE(ReadPgOutput("T"s + Number(0xFFFFFFFF, 4) + "\0"s).ok());
  EXPECT_FALSE(ReadPgOutput("?").ok());
}

TEST(PgOutput, ReadsFramesAndAnswersThem) {
  const std::string alive = "k"s + Number(5, 8) + Number(0, 8) + "\1";
  const auto frame = ReadFrame(alive);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(std::get<PgKeepalive>(*frame).end, 5u);
  EXPECT_TRUE(std::get<PgKeepalive>(*frame).wants_reply);
  const std::string data = "w"s + Number(3, 8) + Number(4, 8) + Number(0, 8) + "rest";
  const auto wal = ReadFrame(data);
  ASSERT_TRUE(wal.ok());
  EXPECT_EQ(std::get<PgWalData>(*wal).start, 3u);
  EXPECT_EQ(std::get<PgWalData>(*wal).message, "rest");
  EXPECT_FALSE(ReadFrame("k").ok());
  EXPECT_FALSE(ReadFrame("").ok());
  // The server's time begins in 2000.
  EXPECT_EQ(StandbyStatus(9, 946'684'800'000'001, true),
            "r"s + Number(9, 8) + Number(9, 8) + Number(9, 8) + Number(1, 8) + "\1");
}

}  // namespace
}  // namespace mayfly::gateway
