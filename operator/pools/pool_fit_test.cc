#include "operator/pools/pool_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

Function OfUrl() {
  Function function;
  function.name = "thumbnail";
  function.spec.artifact.url = "https://example.com/thumbnail.so";
  return function;
}

RuntimePoolSpec LargePool() {
  RuntimePoolSpec pool;
  pool.resources.requests = {{"cpu", "1"}};
  pool.resources.limits = {{"memory", "256Mi"}};
  pool.pods.labels = {{"team", "a"}, {"tier", "web"}};
  pool.pods.node_selector = {{"disk", "ssd"}};
  pool.pods.tolerations = {
      {.key = "gpu", .comparison = "Exists", .value = {}, .effect = {}, .toleration_seconds = {}}};
  return pool;
}

TEST(PoolFit, ServesWhatLoadHandsOver) {
  Function function = OfUrl();
  function.spec.handler = "resize";
  function.spec.config_json = R"({"width":1})";
  function.spec.environment = {{"A", "b"}};
  function.spec.concurrency = 100;
  EXPECT_THAT(WhyNotFromPool(function, {}), IsEmpty());
}

TEST(PoolFit, ServesAnImageWhoeverMayPullIt) {
  Function function;
  function.spec.artifact.image = "registry.example.com/a:1";
  function.spec.image_pull_secrets = {"login"};
  EXPECT_THAT(WhyNotFromPool(function, {}), IsEmpty());
}

TEST(PoolFit, LetsAFunctionThatLeavesItOpenTakeWhatThePoolHas) {
  EXPECT_THAT(WhyNotFromPool(OfUrl(), LargePool()), IsEmpty());
}

TEST(PoolFit, TakesEqualAmountsForTheSame) {
  Function function = OfUrl();
  function.spec.resources = {.requests = {{"cpu", "1000m"}}, .limits = {{"memory", "0.25Gi"}}};
  EXPECT_THAT(WhyNotFromPool(function, LargePool()), IsEmpty());
}

struct Misfit {
  const char* field;
  std::function<void(FunctionSpec&)> change;
};

TEST(PoolFit, NamesTheFieldThatNeedsAPodOfItsOwn) {
  const Misfit misfits[] = {
      {"spec.artifact.credentialsSecret", [](FunctionSpec& spec) { spec.artifact.credentials_secret = "x"; }},
      {"spec.timeout 16m", [](FunctionSpec& spec) { spec.timeout = std::chrono::minutes(16); }},
      {"spec.runtime.image", [](FunctionSpec& spec) { spec.runtime.image = "x"; }},
      {"spec.runtime.serviceAccountName",
       [](FunctionSpec& spec) { spec.runtime.service_account_name = "x"; }},
      {"spec.runtime.runtimeClassName", [](FunctionSpec& spec) { spec.runtime.runtime_class_name = "x"; }},
      {"spec.resources.requests", [](FunctionSpec& spec) { spec.resources.requests = {{"cpu", "2"}}; }},
      {"spec.resources.limits",
       [](FunctionSpec& spec) {
         spec.resources = {.requests = {{"cpu", "1"}}, .limits = {{"memory", "64Mi"}}};
       }},
      {"spec.runtime.nodeSelector", [](FunctionSpec& spec) { spec.runtime.node_selector = {{"zone", "b"}}; }},
      {"spec.runtime.tolerations",
       [](FunctionSpec& spec) { spec.runtime.tolerations.emplace_back().key = "fpga"; }},
      {"spec.runtime.podLabels", [](FunctionSpec& spec) { spec.runtime.labels = {{"team", "b"}}; }},
      {"spec.runtime.podAnnotations", [](FunctionSpec& spec) { spec.runtime.annotations = {{"x", "y"}}; }},
  };
  for (const Misfit& misfit : misfits) {
    Function function = OfUrl();
    misfit.change(function.spec);
    EXPECT_THAT(WhyNotFromPool(function, LargePool()), HasSubstr(misfit.field));
  }
}

TEST(PoolFit, KeepsAFunctionOutOfAPoolWithAnotherIdentity) {
  RuntimePoolSpec pool;
  pool.pods.service_account_name = "powerful";
  EXPECT_THAT(WhyNotFromPool(OfUrl(), pool),
              HasSubstr("serviceAccountName is absent, and the pool's is powerful"));
}

}  // namespace
}  // namespace mayfly::op
