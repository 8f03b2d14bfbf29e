#include "operator/api/yaml_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace mayfly::op {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(ParseYaml, KeepsPlacesAndQuotes) {
  const YamlDocuments yaml = ParseYaml("a: 1\nb:\n  - \"x\"\n  - ~\n");
  ASSERT_EQ(yaml.error, "");
  ASSERT_THAT(yaml.documents, SizeIs(1));
  const YamlNode& root = yaml.documents[0];
  ASSERT_EQ(root.kind, YamlNode::Kind::kMap);
  EXPECT_EQ(root.entries[0].value.scalar, "1");
  EXPECT_FALSE(root.entries[0].value.quoted);
  EXPECT_EQ(root.entries[0].value.line, 1);
  EXPECT_EQ(root.entries[0].value.column, 4);
  const YamlNode& list = root.entries[1].value;
  EXPECT_TRUE(list.items[0].quoted);
  EXPECT_EQ(list.items[0].line, 3);
  EXPECT_EQ(list.items[0].column, 5);
  EXPECT_EQ(list.items[1].kind, YamlNode::Kind::kNull);
}

TEST(ParseYaml, ExpandsAliases) {
  const YamlDocuments yaml = ParseYaml("a: &x {k: [1]}\nb: *x\n");
  ASSERT_EQ(yaml.error, "");
  EXPECT_EQ(yaml.documents[0].entries[1].value.entries[0].value.items[0].scalar, "1");
}

TEST(ParseYaml, RefusesABombOfAliasesQuickly) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int n = 1; n < 12; n++) {
    const std::string before = "*a" + std::to_string(n - 1);
    bomb += "a" + std::to_string(n) + ": &a" + std::to_string(n) + " [" + before;
    for (int k = 1; k < 10; k++) bomb += ", " + before;
    bomb += "]\n";
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(ParseYaml(bomb).error, HasSubstr("more than 200000 values"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(ParseYaml, RefusesABombOfLongTexts) {
  std::string bomb = "a: &a " + std::string(100'000, 'x') + "\nb: [*a";
  for (int n = 0; n < 100; n++) bomb += ", *a";
  EXPECT_THAT(ParseYaml(bomb + "]\n").error, HasSubstr("more than 4 MiB of text"));
}

TEST(ParseYaml, RefusesDepthThroughAliases) {
  std::string text = "a0: &a0 [x]\n";
  for (int n = 1; n < 100; n++)
    text += "a" + std::to_string(n) + ": &a" + std::to_string(n) + " [*a" + std::to_string(n - 1) + "]\n";
  EXPECT_THAT(ParseYaml(text).error, HasSubstr("nests more than 64 levels deep"));
}

TEST(ParseYaml, RefusesMoreThanItsBounds) {
  EXPECT_THAT(ParseYaml(std::string(kMaxManifestBytes + 1, ' ')).error, HasSubstr("more than 1 MiB"));
  std::string many;
  while (many.size() < kMaxManifestBytes - 10) many += "- 1\n";
  EXPECT_THAT(ParseYaml(many).error, HasSubstr("more than 200000 values"));
  EXPECT_THAT(ParseYaml(std::string(100'000, '{')).error, HasSubstr("nested more than 64"));
}

TEST(ParseYaml, ForgetsAnchorsWithTheirDocument) { EXPECT_NE(ParseYaml("a: &x 1\n---\nb: *x\n").error, ""); }

}  // namespace
}  // namespace mayfly::op
