#include "operator/api/runtime_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace mayfly::op {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

RuntimePoolResource Parse(const std::string& spec) {
  auto resource = ParseRuntimePoolResource(
      R"({"metadata": {"name": "default", "namespace": "photos", "generation": 2}, "spec": )" + spec +
      R"(, "status": {"idle": 3, "ready": 2, "taken": 7, "conditions": [{"type": "Ready", "status": "False"}]}})");
  EXPECT_TRUE(resource.ok()) << resource.status();
  return resource.ok() ? *std::move(resource) : RuntimePoolResource();
}

TEST(RuntimePool, IsReadWhole) {
  const RuntimePoolResource pool =
      Parse(R"({"size": 3, "maxSize": 9, "image": "i", "runtimeClassName": "gvisor",
    "resources": {"limits": {"memory": "1Gi"}}, "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}],
    "imagePullSecrets": [{"name": "registry"}], "fromTheFuture": 1})");
  ASSERT_TRUE(pool.spec.has_value());
  EXPECT_EQ(pool.meta.Key(), "photos/default");
  EXPECT_EQ(pool.spec->size, 3);
  EXPECT_EQ(pool.spec->max_size, 9);
  EXPECT_EQ(pool.spec->pods.image, "i");
  EXPECT_EQ(pool.spec->pods.runtime_class_name, "gvisor");
  EXPECT_THAT(pool.spec->pods.tolerations, SizeIs(1));
  EXPECT_THAT(pool.spec->resources.limits, ElementsAre(Pair("memory", "1Gi")));
  EXPECT_THAT(pool.spec->image_pull_secrets, ElementsAre("registry"));
  ASSERT_TRUE(pool.status.has_value());
  EXPECT_EQ(pool.status->idle, 3);
  EXPECT_EQ(pool.status->ready, 2);
  EXPECT_EQ(pool.status->taken, 7);
  EXPECT_THAT(pool.status->conditions, SizeIs(1));
}

TEST(RuntimePool, IsAsLargeAsItsSizeUnlessItMayGrow) {
  EXPECT_EQ(Parse("{}").spec->max_size, 2);
  EXPECT_EQ(Parse(R"({"size": 5})").spec->max_size, 5);
}

TEST(RuntimePool, TellsItsMistakes) {
  const RuntimePoolResource pool = Parse(R"({"size": 3, "maxSize": 2})");
  EXPECT_FALSE(pool.spec.has_value());
  ASSERT_THAT(pool.mistakes, SizeIs(1));
  EXPECT_EQ(pool.mistakes[0].ToString(),
            "spec.size: size 3 is more than maxSize 2; raise maxSize or lower size");
  EXPECT_FALSE(ParseRuntimePoolResource("{}").ok());
}

TEST(RuntimePool, WritesItsStatus) {
  RuntimePoolStatus status;
  status.observed_generation = 2;
  status.idle = 3;
  status.ready = 2;
  status.desired = 4;
  status.taken = 7;
  EXPECT_EQ(nlohmann::json::parse(RuntimePoolStatusToJson(status, "default")), nlohmann::json::parse(R"({
    "observedGeneration": 2, "conditions": [], "idle": 3, "ready": 2, "desired": 4, "taken": 7,
    "selector": "mayfly.dev/pool=default"})"));
}

}  // namespace
}  // namespace mayfly::op
