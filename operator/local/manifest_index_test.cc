#include "operator/local/manifest_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ManifestEntry Good(const std::string& name, int concurrency = 1) {
  Function function;
  function.name = name;
  function.spec.concurrency = concurrency;
  return ManifestEntry{function.Key(), std::make_shared<const Function>(function), std::nullopt};
}

ManifestEntry Bad(const std::string& key, const std::string& message) {
  v1::Problem problem;
  problem.set_message(message);
  return ManifestEntry{key, nullptr, problem};
}

TEST(ManifestIndex, KnowsWhatItsFilesDescribe) {
  ManifestIndex index;
  EXPECT_THAT(index.Replace("/a.yaml", {Good("a"), Good("b")}), ElementsAre("default/a", "default/b"));
  ASSERT_NE(index.Find("default/a"), nullptr);
  EXPECT_FALSE(index.Find("default/a")->problem);
  EXPECT_THAT(index.Files("default/b"), ElementsAre("/a.yaml"));
}

TEST(ManifestIndex, SaysNoMoreThanSomebodyReads) {
  ManifestIndex index;
  std::vector<ManifestEntry> entries;
  for (int i = 0; i < 20'000; ++i)
    entries.push_back(Bad("", "mistake " + std::to_string(i) + std::string(100, '.')));
  index.Replace("/a.yaml", entries);
  EXPECT_LE(index.Find("default/a")->problem->message().size(), 64u << 10);
  index.Replace("/b.yaml", std::vector<ManifestEntry>(20'000, Good("b")));
  EXPECT_LE(index.Find("default/b")->problem->message().size(), 1'000u);
}

TEST(ManifestIndex, CountsGenerationsOfWhatReallyChanged) {
  ManifestIndex index;
  index.Replace("/a.yaml", {Good("a", 1)});
  index.Replace("/a.yaml", {Good("a", 1)});
  EXPECT_EQ(index.Find("default/a")->function->generation, 1);
  index.Replace("/a.yaml", {Good("a", 2)});
  EXPECT_EQ(index.Find("default/a")->function->generation, 2);
}

TEST(ManifestIndex, KeepsTheLastGoodVersionOfAManifestThatBreaks) {
  ManifestIndex index;
  index.Replace("/a.yaml", {Good("a", 7)});
  index.Replace("/a.yaml", {Bad("default/a", "concurrency is wrong")});
  ASSERT_TRUE(index.Find("default/a")->function);
  EXPECT_EQ(index.Find("default/a")->function->spec.concurrency, 7);
  EXPECT_EQ(index.Find("default/a")->problem->message(), "concurrency is wrong");
  index.Replace("/a.yaml", {Good("a", 8)});
  EXPECT_FALSE(index.Find("default/a")->problem);
  EXPECT_EQ(index.Find("default/a")->function->spec.concurrency, 8);
}

TEST(ManifestIndex, BlamesAFilesOwnFunctionsWhenItCannotBeReadAtAll) {
  ManifestIndex index;
  index.Replace("/x.yaml", {Good("a"), Good("b")});
  EXPECT_THAT(index.Replace("/x.yaml", {Bad("", "not YAML")}), ElementsAre("default/a", "default/b"));
  EXPECT_TRUE(index.Find("default/a")->function && index.Find("default/a")->problem);
  EXPECT_TRUE(index.Find("default/b")->function && index.Find("default/b")->problem);
}

TEST(ManifestIndex, NamesABrokenManifestAfterItsFile) {
  ManifestIndex index;
  index.Replace("/dir/My_Function.yaml", {Bad("", "not YAML")});
  ASSERT_NE(index.Find("default/my-function"), nullptr);
  EXPECT_FALSE(index.Find("default/my-function")->function);
  index.Replace("/dir/My_Function.yaml", {Good("real")});
  EXPECT_EQ(index.Find("default/my-function"), nullptr);
  EXPECT_NE(index.Find("default/real"), nullptr);
}

TEST(ManifestIndex, NamesBothFilesThatDescribeOneFunction) {
  ManifestIndex index;
  index.Replace("/a.yaml", {Good("a", 1)});
  index.Replace("/b.yaml", {Good("a", 2)});
  const ManifestIndex::View* view = index.Find("default/a");
  EXPECT_EQ(view->function->spec.concurrency, 1);
  EXPECT_EQ(view->problem->reason(), "DuplicateFunction");
  EXPECT_THAT(view->problem->message(), HasSubstr("/a.yaml and /b.yaml"));
  // The one that stays wins.
  index.Replace("/a.yaml", {});
  EXPECT_FALSE(index.Find("default/a")->problem);
  EXPECT_EQ(index.Find("default/a")->function->spec.concurrency, 2);
}

TEST(ManifestIndex, ForgetsAFunctionThatNoFileDescribes) {
  ManifestIndex index;
  index.Replace("/a.yaml", {Good("a")});
  EXPECT_THAT(index.Replace("/a.yaml", {}), ElementsAre("default/a"));
  EXPECT_EQ(index.Find("default/a"), nullptr);
  EXPECT_TRUE(index.views().empty());
}

TEST(ManifestIndex, TellsAllThatIsWrongInOneFile) {
  ManifestIndex index;
  index.Replace("/x.yaml", {Bad("", "first"), Bad("", "second")});
  EXPECT_EQ(index.Find("default/x")->problem->message(), "first; second");
}

}  // namespace
}  // namespace mayfly::op
