// What spec says of pods: kept as it was written, whether or not there are pods.
#include "operator/api/pod_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "operator/api/manifest.h"

namespace mayfly::op {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

FunctionSpec ParseSpec(const std::string& spec) {
  const std::string text =
      "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec:\n  artifact: {path: "
      "f.so}\n" +
      spec;
  const auto functions = ParseFunctions(text, "f.yaml");
  EXPECT_TRUE(functions.ok()) << functions.status().message();
  return functions.ok() ? functions->front().spec : FunctionSpec();
}

TEST(PodOptions, KeepAmountsAsTheyWereWritten) {
  const FunctionSpec spec = ParseSpec(R"(
  resources:
    requests: {cpu: 0.5, memory: 128Mi, example.com/gpu: 1}
    limits: {cpu: "2", memory: 1073741824, ephemeral-storage: 1Gi}
)");
  EXPECT_THAT(spec.resources.requests,
              ElementsAre(Pair("cpu", "0.5"), Pair("example.com/gpu", "1"), Pair("memory", "128Mi")));
  EXPECT_THAT(spec.resources.limits,
              ElementsAre(Pair("cpu", "2"), Pair("ephemeral-storage", "1Gi"), Pair("memory", "1073741824")));
  EXPECT_EQ(spec.memory_limit_bytes, 1u << 30);
}

TEST(PodOptions, AreReadWhole) {
  const FunctionSpec spec = ParseSpec(R"(
  imagePullSecrets: [{name: registry}, {name: other.one}]
  runtime:
    image: registry.example.com/runtime:1
    serviceAccountName: reader
    nodeSelector: {kubernetes.io/arch: amd64}
    tolerations:
    - {key: dedicated, operator: Equal, value: functions, effect: NoExecute, tolerationSeconds: 60}
    - {operator: Exists}
    runtimeClassName: gvisor
    podLabels: {team: photos}
    podAnnotations: {example.com/note: "any text, any length"}
)");
  EXPECT_THAT(spec.image_pull_secrets, ElementsAre("registry", "other.one"));
  EXPECT_EQ(spec.runtime.image, "registry.example.com/runtime:1");
  EXPECT_EQ(spec.runtime.service_account_name, "reader");
  EXPECT_THAT(spec.runtime.node_selector, ElementsAre(Pair("kubernetes.io/arch", "amd64")));
  EXPECT_THAT(spec.runtime.tolerations,
              ElementsAre(Toleration{"dedicated", "Equal", "functions", "NoExecute", 60},
                          Toleration{"", "Exists", "", "", {}}));
  EXPECT_EQ(spec.runtime.runtime_class_name, "gvisor");
  EXPECT_THAT(spec.runtime.labels, ElementsAre(Pair("team", "photos")));
  EXPECT_THAT(spec.runtime.annotations, ElementsAre(Pair("example.com/note", "any text, any length")));
}

TEST(PodOptions, AreEmptyByDefault) {
  const FunctionSpec spec = ParseSpec("");
  EXPECT_THAT(spec.image_pull_secrets, IsEmpty());
  EXPECT_EQ(spec.runtime, PodOptions());
  EXPECT_EQ(spec.resources, Resources());
}

}  // namespace
}  // namespace mayfly::op
