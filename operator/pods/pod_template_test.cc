#include "operator/pods/pod_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "operator/api/manifest.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;
using testing::SizeIs;

Function Parse(const std::string& spec) {
  const auto functions = ParseFunctions(
      "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: thumbnail, namespace: "
      "photos}\nspec:\n" +
          spec,
      "x.yaml");
  EXPECT_TRUE(functions.ok()) << functions.status();
  return functions->front();
}

class PodTemplateTest : public testing::Test {
 protected:
  Json Make(const std::string& spec) {
    return Json::parse(MakePod(Parse(spec), "thumbnail-x", "uid-1", defaults_));
  }

  PodDefaults defaults_{.image = "localhost/mayfly-runtime:dev"};
};

TEST_F(PodTemplateTest, IsOwnedByItsFunctionAndFoundByItsLabels) {
  const Json pod = Make("  artifact: {path: /opt/t.so}\n");
  EXPECT_EQ(pod["metadata"]["namespace"], "photos");
  EXPECT_EQ(pod["metadata"]["labels"]["mayfly.dev/function"], "thumbnail");
  EXPECT_EQ(pod["metadata"]["labels"]["app.kubernetes.io/managed-by"], "mayfly");
  const Json owner = pod["metadata"]["ownerReferences"][0];
  EXPECT_EQ(owner["uid"], "uid-1");
  EXPECT_EQ(owner["kind"], "Function");
  EXPECT_EQ(owner["controller"], true);
}

TEST_F(PodTemplateTest, KeepsToTheRestrictedPodSecurityStandard) {
  const Json spec = Make("  artifact: {path: /opt/t.so}\n")["spec"];
  EXPECT_EQ(spec["automountServiceAccountToken"], false);
  EXPECT_EQ(spec["securityContext"]["runAsNonRoot"], true);
  EXPECT_EQ(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
  const Json container = spec["containers"][0]["securityContext"];
  EXPECT_EQ(container["allowPrivilegeEscalation"], false);
  EXPECT_EQ(container["readOnlyRootFilesystem"], true);
  EXPECT_EQ(container["capabilities"]["drop"], Json({"ALL"}));
}

TEST_F(PodTemplateTest, HasAnIdleRuntimeStartAProcessForItsFirstModuleBeforehand) {
  const Json idle =
      Json::parse(MakeIdlePod({.space = "photos", .pool = "small", .spec = {}}, "x", "uid-1", defaults_));
  EXPECT_EQ(idle["spec"]["containers"][0]["env"],
            Json({{{"name", "MAYFLY_SPARE_WORKER"}, {"value", "true"}}}));
  EXPECT_FALSE(Make("  artifact: {path: /opt/t.so}\n")["spec"]["containers"][0].contains("env"));
}

TEST_F(PodTemplateTest, IsProbedOnTheAdminPortAndGivenNoTimeOnceItHangs) {
  const Json container = Make("  artifact: {path: /opt/t.so}\n")["spec"]["containers"][0];
  for (const char* probe : {"startupProbe", "readinessProbe", "livenessProbe"})
    EXPECT_EQ(container[probe]["httpGet"]["port"], 9090) << probe;
  EXPECT_EQ(container["readinessProbe"]["httpGet"]["path"], "/readyz");
  EXPECT_EQ(container["livenessProbe"]["httpGet"]["path"], "/healthz");
  EXPECT_LT(container["livenessProbe"]["terminationGracePeriodSeconds"], 30);
}

TEST_F(PodTemplateTest, LeavesTimeForWhatRuns) {
  EXPECT_EQ(Make("  artifact: {path: /opt/t.so}\n  timeout: 90s\n")["spec"]["terminationGracePeriodSeconds"],
            100);
  EXPECT_EQ(Make("  artifact: {path: /opt/t.so}\n  timeout: 10ms\n")["spec"]["terminationGracePeriodSeconds"],
            11);
}

TEST_F(PodTemplateTest, MountsAnImageThatCarriesTheModule) {
  const Json spec = Make("  artifact: {image: 'registry/t@sha256:" + std::string(64, 'a') + "'}\n")["spec"];
  bool found = false;
  for (const Json& volume : spec["volumes"]) {
    if (!volume.contains("image")) continue;
    EXPECT_EQ(volume["image"]["reference"], "registry/t@sha256:" + std::string(64, 'a'));
    found = true;
  }
  EXPECT_TRUE(found);
  EXPECT_THAT(spec["containers"][0]["volumeMounts"], SizeIs(3));
}

TEST_F(PodTemplateTest, ShowsTheRuntimeTheCredentialsOfAUrl) {
  const Json spec = Make("  artifact: {url: 's3://mods/t.so', sha256: " + std::string(64, 'a') +
                         ", credentialsSecret: modules}\n")["spec"];
  EXPECT_EQ(spec["volumes"].back()["secret"]["secretName"], "modules");
  const Json container = spec["containers"][0];
  EXPECT_EQ(container["volumeMounts"].back()["readOnly"], true);
  EXPECT_EQ(container["args"].back(), container["volumeMounts"].back()["mountPath"]);
}

TEST_F(PodTemplateTest, GivesThePodWhatTheManifestAsksForAndDefaultsElse) {
  const Json spec = Make(
      "  artifact: {path: /opt/t.so}\n  resources: {limits: {memory: 256Mi}, requests: {cpu: '1'}}\n"
      "  imagePullSecrets: [{name: reg}]\n"
      "  runtime: {image: my/runtime:1, nodeSelector: {disk: ssd}, tolerations: [{key: gpu, operator: "
      "Exists}]}\n")["spec"];
  const Json container = spec["containers"][0];
  EXPECT_EQ(container["image"], "my/runtime:1");
  EXPECT_EQ(container["resources"]["limits"]["memory"], "256Mi");
  EXPECT_EQ(container["resources"]["requests"]["cpu"], "1");
  EXPECT_FALSE(container["resources"]["requests"].contains("memory")) << "its limit is its request";
  EXPECT_EQ(spec["imagePullSecrets"][0]["name"], "reg");
  EXPECT_EQ(spec["nodeSelector"]["disk"], "ssd");
  EXPECT_EQ(spec["tolerations"][0]["operator"], "Exists");
}

TEST_F(PodTemplateTest, HasAnotherHashWhenPodsMustBeReplacedAndOnlyThen) {
  const auto hash = [this](const std::string& spec) { return PodTemplateHash(Parse(spec), defaults_); };
  const std::string plain = hash("  artifact: {path: /opt/t.so}\n");
  EXPECT_EQ(plain, hash("  artifact: {path: /opt/other.so}\n")) << "a module is swapped in place";
  EXPECT_EQ(plain, hash("  artifact: {path: /opt/t.so}\n  concurrency: 3\n  config: {a: 1}\n"));
  std::set<std::string> hashes = {plain};
  hashes.insert(hash("  artifact: {path: /opt/t.so}\n  resources: {limits: {memory: 256Mi}}\n"));
  hashes.insert(hash("  artifact: {path: /opt/t.so}\n  timeout: 5s\n"));
  hashes.insert(hash("  artifact: {path: /opt/t.so}\n  runtime: {podLabels: {a: b}}\n"));
  hashes.insert(hash("  artifact: {image: 'registry/t:1'}\n"));
  hashes.insert(hash("  artifact: {image: 'registry/t:2'}\n"));
  EXPECT_EQ(hashes.size(), 6u);
}

TEST_F(PodTemplateTest, NamesFitAndDiffer) {
  std::set<std::string> names;
  for (int i = 0; i < 200; ++i) names.insert(NewPodName("thumbnail"));
  EXPECT_GT(names.size(), 195u);
  const std::string longest = NewPodName(std::string(63, 'a'));
  EXPECT_EQ(longest.size(), 63u);
}

}  // namespace
}  // namespace mayfly::op
