#include "base/log.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace mayfly::base::log {
namespace {

std::string Line(Format format, std::string_view message, std::initializer_list<Field> fields) {
  return FormatLine(format, "2026-01-01T00:00:00.000Z", Level::kInfo, "gateway", message, fields);
}

TEST(Log, WritesLogfmt) {
  EXPECT_EQ(
      Line(Format::kLogfmt, "route added", {{"function", "a/b"}, {"slots", 3}}),
      "time=2026-01-01T00:00:00.000Z level=info component=gateway msg=\"route added\" function=a/b slots=3");
}

TEST(Log, WritesJson) {
  EXPECT_EQ(
      Line(Format::kJson, "hi", {{"path", "C:\\x"}}),
      "{\"time\":\"2026-01-01T00:00:00.000Z\",\"level\":\"info\",\"component\":\"gateway\",\"msg\":\"hi\","
      "\"path\":\"C:\\\\x\"}");
}

TEST(Log, KeepsHostileValuesOnOneLine) {
  const std::string line =
      Line(Format::kLogfmt, "x", {{"id", std::string("a\nlevel=error msg=\"forged\"\x01", 27)}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_NE(line.find("id=\"a\\nlevel=error msg=\\\"forged\\\"\\u0001\""), std::string::npos) << line;
}

TEST(Log, IsUtf8WithoutWhatTerminalsObey) {
  for (const Format format : {Format::kLogfmt, Format::kJson}) {
    const std::string line = Line(format, "x",
                                  {{"file",
                                    "caf\xe9\xc2\x9b"
                                    "31m\x1b[0m\xff"},
                                   {"name", "caf\xc3\xa9"}});
    EXPECT_TRUE(IsUtf8(line)) << line;
    EXPECT_NE(line.find("\\u009b31m\\u001b[0m"), std::string::npos) << line;
    EXPECT_NE(line.find("caf\xc3\xa9"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace mayfly::base::log
