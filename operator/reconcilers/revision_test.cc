#include "operator/reconcilers/revision.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace mayfly::op {
namespace {

std::string NameOf(const std::function<void(Function&)>& change, const std::string& sha256 = "aa") {
  auto function = std::make_shared<Function>();
  function->name = "f";
  change(*function);
  FunctionObject object;
  object.function = std::move(function);
  object.artifact_sha256 = sha256;
  object.artifact_path = "/a.so";
  return MakeRevision(object)->name;
}

TEST(RevisionTest, IsNoneWhileTheArtifactIsNotKnown) {
  FunctionObject object;
  EXPECT_FALSE(MakeRevision(object).has_value());
  object.function = std::make_shared<const Function>();
  EXPECT_FALSE(MakeRevision(object).has_value());
  object.artifact_identity = "registry/image@sha256:aa";
  EXPECT_TRUE(MakeRevision(object).has_value());
  object.artifact_problem.emplace();
  EXPECT_FALSE(MakeRevision(object).has_value());
}

TEST(RevisionTest, HandsTheBytesToTheRuntimeWhereThereIsNoPath) {
  FunctionObject object;
  object.function = std::make_shared<const Function>();
  object.artifact_sha256 = "aa";
  object.artifact_bytes = std::make_shared<const std::string>("ELF");
  const v1::LoadRequest request = MakeLoadRequest(*MakeRevision(object), 1);
  EXPECT_EQ(request.inline_(), "ELF");
  EXPECT_FALSE(request.has_path());
}

TEST(RevisionTest, IsNamedByWhatTheCodeDependsOn) {
  const std::string plain = NameOf([](Function&) {});
  EXPECT_EQ(plain.size(), 10u);
  EXPECT_EQ(plain, NameOf([](Function&) {})) << "the same after a restart";
  std::set<std::string> names = {plain};
  names.insert(NameOf([](Function&) {}, "bb"));
  names.insert(NameOf([](Function& f) { f.spec.handler = "resize"; }));
  names.insert(NameOf([](Function& f) { f.spec.config_json = R"({"a":1})"; }));
  names.insert(NameOf([](Function& f) { f.spec.environment["A"] = "B"; }));
  names.insert(NameOf([](Function& f) { f.spec.environment["AB"] = ""; }));
  names.insert(NameOf([](Function& f) { f.spec.concurrency = 3; }));
  names.insert(NameOf([](Function& f) { f.spec.memory_limit_bytes = 1; }));
  EXPECT_EQ(names.size(), 8u) << "each of these is another revision";
}

TEST(RevisionTest, StaysTheSameWhenOnlyRoutingOrScalingChanges) {
  const std::string plain = NameOf([](Function&) {});
  EXPECT_EQ(plain, NameOf([](Function& f) { f.generation = 7; }));
  EXPECT_EQ(plain, NameOf([](Function& f) { f.spec.timeout = std::chrono::seconds(1); }));
  EXPECT_EQ(plain, NameOf([](Function& f) { f.spec.scaling.max_replicas = 1; }));
  EXPECT_EQ(plain, NameOf([](Function& f) { f.spec.triggers.emplace_back(); }));
}

}  // namespace
}  // namespace mayfly::op
