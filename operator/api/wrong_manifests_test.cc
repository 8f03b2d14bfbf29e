// Wrong manifests, and the sentence that each gets: what a user sees is part of the contract. The table is a file, since
// the API server is held to it too.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "operator/api/manifest.h"
#include "operator/api/yaml_document.h"

namespace mayfly::op {
namespace {

struct WrongManifest {
  std::string name;
  std::string text;
  // "line:column: field: sentence" of each mistake, in order.
  std::vector<std::string> mistakes;
};

// What a table of YAML cannot hold.
std::vector<WrongManifest> Rows() {
  std::vector<WrongManifest> rows = {
      {"not UTF-8", "a: b\nc: \xff\n", {"2:4: this byte is not UTF-8 text; save the file as UTF-8"}},
      {"NUL", std::string("a: \0", 4), {"1:4: this byte is not UTF-8 text; save the file as UTF-8"}},
      {"too deep",
       "a: " + std::string(100, '[') + std::string(100, ']'),
       {"1:67: this is nested more than 64 levels deep; make it flatter"}}};
  std::ifstream file(std::string(MAYFLY_SOURCE_DIR) + "/operator/api/testdata/wrong_manifests.yaml");
  std::stringstream text;
  text << file.rdbuf();
  const YamlDocuments table = ParseYaml(text.str());
  EXPECT_EQ(table.error, "") << table.line;
  if (table.documents.empty()) return rows;
  for (const YamlNode& item : table.documents[0].items) {
    WrongManifest& row = rows.emplace_back();
    for (const YamlEntry& entry : item.entries) {
      if (entry.key.scalar == "name") row.name = entry.value.scalar;
      if (entry.key.scalar == "manifest") row.text = entry.value.scalar;
      if (entry.key.scalar != "local") continue;
      for (const YamlNode& mistake : entry.value.items) row.mistakes.push_back(mistake.scalar);
    }
  }
  return rows;
}

TEST(WrongManifest, IsAnsweredWithASentenceThatMendsIt) {
  const std::vector<WrongManifest> rows = Rows();
  EXPECT_GE(rows.size(), 140u);
  for (const WrongManifest& row : rows) {
    SCOPED_TRACE(row.name);
    std::vector<std::string> mistakes;
    for (const Mistake& mistake : ParseManifest(row.text, "f").AllMistakes())
      mistakes.push_back(mistake.ToString());
    std::vector<std::string> expected;
    for (const std::string& mistake : row.mistakes) expected.push_back("f:" + mistake);
    EXPECT_EQ(mistakes, expected);
  }
}

TEST(WrongManifest, IsNeverAlsoAFunction) {
  for (const WrongManifest& row : Rows()) {
    SCOPED_TRACE(row.name);
    const Manifest manifest = ParseManifest(row.text, "f");
    EXPECT_FALSE(manifest.ok());
    for (const ManifestDocument& document : manifest.documents) {
      EXPECT_NE(document.function.has_value(), !document.mistakes.empty());
    }
  }
}

TEST(WrongManifest, BecomesAProblemOfTheOperator) {
  const v1::Problem problem = ToProblem(ParseManifest("a: 1\n---\nb\n", "f").AllMistakes());
  EXPECT_EQ(problem.component(), "operator");
  EXPECT_EQ(problem.reason(), "InvalidManifest");
  EXPECT_EQ(problem.message(),
            "f:1:1: apiVersion: is missing; write apiVersion: mayfly.dev/v1alpha1\n"
            "f:1:1: kind: is missing; write kind: Function\n"
            "f:3:1: expected a mapping (\"key: value\" lines), found the text \"b\"");
}

}  // namespace
}  // namespace mayfly::op
