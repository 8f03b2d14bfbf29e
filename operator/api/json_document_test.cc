#include "operator/api/json_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mayfly::op {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(ParseJson, MakesTextsQuotedAndNumbersPlain) {
  const auto root =
      ParseJson(R"({"a": "1", "b": [1, -2, 18446744073709551615, 1.5, 2.0, true, null], "c": {}})");
  ASSERT_TRUE(root.ok()) << root.status();
  ASSERT_THAT(root->entries, SizeIs(3));
  EXPECT_EQ(root->entries[0].key.scalar, "a");
  EXPECT_EQ(root->entries[0].value.scalar, "1");
  EXPECT_TRUE(root->entries[0].value.quoted);
  const auto& items = root->entries[1].value.items;
  ASSERT_THAT(items, SizeIs(7));
  EXPECT_EQ(items[0].scalar, "1");
  EXPECT_FALSE(items[0].quoted);
  EXPECT_EQ(items[1].scalar, "-2");
  EXPECT_EQ(items[2].scalar, "18446744073709551615");
  EXPECT_EQ(items[3].scalar, "1.5");
  EXPECT_EQ(items[4].scalar, "2.0");
  EXPECT_EQ(items[5].scalar, "true");
  EXPECT_EQ(items[6].kind, YamlNode::Kind::kNull);
  EXPECT_EQ(root->entries[2].value.kind, YamlNode::Kind::kMap);
}

TEST(ParseJson, HasNoPlaces) {
  const auto root = ParseJson("[1]");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root->line, 0);
  EXPECT_EQ(root->items[0].line, 0);
}

TEST(ParseJson, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "{a: 1}", "[1,]", "\"\xff\"", "1 2"}) {
    EXPECT_THAT(ParseJson(text).status().message(), HasSubstr("this is not JSON")) << text;
  }
}

TEST(ParseJson, IsBoundedInDepthNumberAndSize) {
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  EXPECT_THAT(ParseJson(deep).status().message(), HasSubstr("nested more than 80 levels deep"));
  std::string wide = "[0";
  for (std::size_t n = 0; n < kMaxYamlNodes; n++) wide += ",0";
  EXPECT_THAT(ParseJson(wide + "]").status().message(), HasSubstr("more than 200000 values"));
  EXPECT_THAT(ParseJson("\"" + std::string(kMaxJsonBytes, 'a') + "\"").status().message(),
              HasSubstr("more than 4 MiB"));
}

TEST(ParseJson, ReadsADepthThatAManifestMayHave) {
  EXPECT_TRUE(ParseJson(std::string(kMaxYamlDepth, '[') + std::string(kMaxYamlDepth, ']')).ok());
}

}  // namespace
}  // namespace mayfly::op
