#include "operator/kube/json.h"

#include <gtest/gtest.h>

namespace mayfly::kube {
namespace {

TEST(JsonDocument, ReadsWhatIsThereAndDefaultsForTheRest) {
  JsonDocument document;
  ASSERT_TRUE(document.Parse(R"({"a":{"b":[1,2,{"c":"x"}]},"n":null,"t":true,"i":-7})").ok());
  const JsonView root = document.root();
  EXPECT_EQ(root["i"].Integer(), -7);
  EXPECT_TRUE(root["t"].Bool());
  EXPECT_FALSE(root["n"].exists());
  EXPECT_EQ(root["a"].Text("of another type"), "of another type");
  EXPECT_EQ(root["missing"]["deeper"].Integer(9), 9);
  std::string seen;
  root["a"]["b"].ForEachItem([&seen](JsonView item) { seen += item.ToJson() + ";"; });
  EXPECT_EQ(seen, R"(1;2;{"c":"x"};)");
  std::string keys;
  root.ForEachField([&keys](std::string_view key, JsonView) { keys += key; });
  EXPECT_EQ(keys, "anti");
}

TEST(JsonDocument, RefusesWhatIsNoJsonAndThenHoldsNothing) {
  JsonDocument document;
  ASSERT_TRUE(document.Parse("{}").ok());
  for (const char* text : {"", "{", R"({"a":})", "{} {}", "\xff", "nul"}) {
    EXPECT_FALSE(document.Parse(text).ok()) << text;
    EXPECT_FALSE(document.root().exists());
  }
  EXPECT_FALSE(document.Parse(std::string(5000, '[')).ok());
}

TEST(JsonDocument, CanBeMovedWithItsViews) {
  JsonDocument first;
  ASSERT_TRUE(first.Parse(R"({"a":"x"})").ok());
  const JsonDocument second = std::move(first);
  EXPECT_EQ(second.root()["a"].Text(), "x");
}

}  // namespace
}  // namespace mayfly::kube
