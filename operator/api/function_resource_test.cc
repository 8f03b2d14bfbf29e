#include "operator/api/function_resource.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace mayfly::op {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr char kObject[] = R"({
  "apiVersion": "mayfly.dev/v1alpha1", "kind": "Function",
  "metadata": {
    "name": "thumbnail", "namespace": "photos", "uid": "b3a2", "resourceVersion": "4711", "generation": 3,
    "creationTimestamp": "2026-03-01T12:00:00Z", "deletionTimestamp": "2026-03-01T12:00:05Z",
    "labels": {"team": "photos"}, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    "finalizers": ["mayfly.dev/leases"], "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
    "aFieldOfKubernetes1.99": {}
  },
  "spec": {
    "artifact": {"image": "registry.example.com/thumbnail@sha256:aa"}, "config": {"width": 256, "ratio": 1.0},
    "concurrency": 4, "timeout": "30s", "scaling": {"minReplicas": 1, "maxReplicas": 3},
    "env": [{"name": "LEVEL", "value": "7"}], "resources": {"limits": {"cpu": 2, "memory": "64Mi"}},
    "triggers": [{"name": "api", "http": {"path": "/thumbnails", "methods": ["POST"]}}]
  },
  "status": {"observedGeneration": 2, "replicas": 1}
})";

std::string WithSpec(const std::string& spec) {
  return R"({"metadata": {"name": "f", "namespace": "n", "generation": 7}, "spec": )" + spec + "}";
}

TEST(FunctionResource, IsTheFunctionWithWhatKubernetesAdds) {
  const auto resource = ParseFunctionResource(kObject);
  ASSERT_TRUE(resource.ok()) << resource.status();
  EXPECT_EQ(resource->meta.uid, "b3a2");
  EXPECT_EQ(resource->meta.resource_version, "4711");
  EXPECT_EQ(resource->meta.generation, 3);
  EXPECT_THAT(resource->meta.annotations, SizeIs(1));
  EXPECT_THAT(resource->meta.finalizers, ElementsAre("mayfly.dev/leases"));
  ASSERT_TRUE(resource->meta.deleted.has_value());
  EXPECT_EQ(*resource->meta.deleted - resource->meta.created, std::chrono::seconds(5));
  EXPECT_EQ(resource->document.key, "photos/thumbnail");

  ASSERT_TRUE(resource->document.function.has_value()) << resource->document.mistakes[0].ToString();
  const Function& function = *resource->document.function;
  EXPECT_EQ(function.Key(), "photos/thumbnail");
  EXPECT_EQ(function.generation, 3);
  EXPECT_THAT(function.labels, ElementsAre(Pair("team", "photos")));
  EXPECT_EQ(function.spec.artifact.image, "registry.example.com/thumbnail@sha256:aa");
  EXPECT_EQ(function.spec.config_json, R"({"ratio":1.0,"width":256})");
  EXPECT_EQ(function.spec.concurrency, 4);
  EXPECT_EQ(function.spec.timeout, std::chrono::seconds(30));
  EXPECT_THAT(function.spec.environment, ElementsAre(Pair("LEVEL", "7")));
  EXPECT_THAT(function.spec.resources.limits, ElementsAre(Pair("cpu", "2"), Pair("memory", "64Mi")));
  EXPECT_THAT(function.spec.triggers, SizeIs(1));
  ASSERT_TRUE(resource->status.has_value());
  EXPECT_EQ(resource->status->observed_generation, 2);
}

TEST(FunctionResource, IsWhatTheSameManifestGives) {
  const char* manifest = R"(
apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata: {name: f, namespace: photos}
spec:
  artifact: {path: /modules/f.so}
  config: {a: [1, 2.5, "3", true], b: null}
  timeout: 1m30s
  limits: {maxRequestBytes: 1048576}
  triggers: [{name: a, http: {path: "/a/{b}"}}]
)";
  const char* json = R"({"metadata": {"name": "f", "namespace": "photos", "generation": 1}, "spec": {
    "artifact": {"path": "/modules/f.so"}, "config": {"b": null, "a": [1, 2.5, "3", true]}, "timeout": "1m30s",
    "limits": {"maxRequestBytes": 1048576}, "triggers": [{"name": "a", "http": {"path": "/a/{b}"}}]}})";
  const auto functions = ParseFunctions(manifest, "f.yaml");
  ASSERT_TRUE(functions.ok()) << functions.status();
  const auto resource = ParseFunctionResource(json);
  ASSERT_TRUE(resource.ok() && resource->document.function.has_value());
  EXPECT_EQ(*resource->document.function, functions->front());
}

TEST(FunctionResource, TellsMistakesByTheirFieldsAlone) {
  const auto resource = ParseFunctionResource(
      WithSpec(R"({"artifact": {"path": "/f.so"}, "concurrency": 0, "timeout": "3d"})"));
  ASSERT_TRUE(resource.ok());
  EXPECT_EQ(resource->meta.generation, 7);
  EXPECT_FALSE(resource->document.function.has_value());
  ASSERT_THAT(resource->document.mistakes, SizeIs(2));
  EXPECT_EQ(resource->document.mistakes[0].ToString(),
            "spec.concurrency: \"0\" is less than 1; use 1 or more");
  EXPECT_EQ(ToProblem(resource->document.mistakes).message(),
            "spec.concurrency: \"0\" is less than 1; use 1 or more\n"
            "spec.timeout: \"3d\" has the unknown unit \"d\"; use h, m, s or ms");
}

TEST(FunctionResource, TakesARelativePathFromTheFunctionsFolderOfTheImage) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"build/f.so", "/functions/build/f.so"},
      {"./f.so", "/functions/f.so"},
      {"../../build/release/examples/hello.so", "/functions/build/release/examples/hello.so"},
      {"a/../../../etc/f.so", "/functions/etc/f.so"},
      {"/opt/../f.so", "/f.so"},
  };
  for (const auto& [path, wanted] : rows) {
    const auto resource = ParseFunctionResource(WithSpec(R"({"artifact": {"path": ")" + path + R"("}})"));
    ASSERT_TRUE(resource.ok() && resource->document.function.has_value()) << path;
    EXPECT_EQ(resource->document.function->spec.artifact.path, wanted);
  }
}

TEST(FunctionResource, PassesOverFieldsOfANewerVersion) {
  const auto resource = ParseFunctionResource(WithSpec(
      R"({"artifact": {"path": "/f.so", "mirror": true}, "scaling": {"burst": 3}, "fromTheFuture": {}})"));
  ASSERT_TRUE(resource.ok());
  EXPECT_THAT(resource->document.mistakes, IsEmpty());
  EXPECT_TRUE(resource->document.function.has_value());
}

TEST(FunctionResource, DoesNotPassOverAKindOfTriggerOfANewerVersion) {
  const auto resource = ParseFunctionResource(WithSpec(
      R"({"artifact": {"path": "/f.so"}, "triggers": [{"name": "a", "carrierPigeon": {"loft": "b"}}]})"));
  ASSERT_TRUE(resource.ok());
  ASSERT_THAT(resource->document.mistakes, SizeIs(1));
  EXPECT_THAT(resource->document.mistakes[0].ToString(),
              HasSubstr("spec.triggers[0]: has no source of events"));
}

TEST(FunctionResource, RefusesANameThatNoPodCouldHave) {
  const auto resource = ParseFunctionResource(
      R"({"metadata": {"name": "a.b", "namespace": "n"}, "spec": {"artifact": {"path": "/f.so"}}})");
  ASSERT_TRUE(resource.ok());
  ASSERT_THAT(resource->document.mistakes, SizeIs(1));
  EXPECT_THAT(resource->document.mistakes[0].ToString(),
              HasSubstr("metadata.name: \"a.b\" is not a valid name"));
  EXPECT_EQ(resource->document.key, "n/a.b");
}

TEST(FunctionResource, NeedsAnObjectWithAName) {
  for (const char* json : {"", "[]", "1", "{}", R"({"metadata": {"name": ""}})", R"({"metadata": []})"}) {
    EXPECT_FALSE(ParseFunctionResource(json).ok()) << json;
  }
  const auto resource = ParseFunctionResource(R"({"metadata": {"name": "f"}})");
  ASSERT_TRUE(resource.ok());
  EXPECT_THAT(resource->document.mistakes, SizeIs(1));
  EXPECT_FALSE(resource->status.has_value());
}

}  // namespace
}  // namespace mayfly::op
