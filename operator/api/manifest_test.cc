#include "operator/api/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "operator/api/triggers.h"

namespace mayfly::op {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;

Function ParseOne(const std::string& text, const std::string& file = "/srv/f.yaml") {
  auto functions = ParseFunctions(text, file);
  EXPECT_TRUE(functions.ok()) << functions.status().message();
  return functions.ok() && functions->size() == 1 ? functions->front() : Function();
}

// A good manifest whose spec holds `spec` (lines indented by two) beside the artifact.
std::string WithSpec(const std::string& spec) {
  return "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec:\n  artifact: {path: "
         "f.so}\n" +
         spec;
}

TEST(Manifest, NeedsNoMoreThanANameAndAnArtifact) {
  const Function function = ParseOne(WithSpec(""));
  EXPECT_EQ(function.Key(), "default/f");
  EXPECT_EQ(function.spec.artifact.path, "/srv/f.so");
  EXPECT_EQ(function.spec.handler, "");
  EXPECT_EQ(function.spec.config_json, "{}");
  EXPECT_EQ(function.spec.concurrency, 10);
  EXPECT_EQ(function.spec.timeout, seconds(60));
  EXPECT_EQ(function.spec.max_request_bytes, 6u << 20);
  EXPECT_EQ(function.spec.memory_limit_bytes, 0u);
  EXPECT_EQ(function.spec.scaling.min_replicas, 0);
  EXPECT_EQ(function.spec.scaling.max_replicas, 20);
  EXPECT_EQ(function.spec.scaling.target_utilization, 70);
  EXPECT_EQ(function.spec.scaling.scale_to_zero_after, seconds(60));
  EXPECT_EQ(function.spec.retry.max_attempts, 3);
  EXPECT_EQ(function.spec.retry.max_age, hours(6));
  EXPECT_THAT(function.spec.triggers, IsEmpty());
}

TEST(Manifest, ReadsEveryField) {
  const Function function = ParseOne(R"(
apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata:
  name: thumbnail
  namespace: photos
  labels: {app.kubernetes.io/name: thumbnail, tier: ""}
  annotations: {example.com/note: "any text, at all"}
spec:
  artifact: {path: ../build/thumbnail.so, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}
  handler: resize
  config: {width: 256}
  env:
  - {name: MODE, value: fast}
  - {name: EMPTY}
  - {name: PORT, value: "80"}
  concurrency: 4
  timeout: 1m30s
  resources: {requests: {cpu: 500m, memory: 64Mi}, limits: {cpu: "2", memory: 1Gi, example.com/gpu: 1}}
  limits: {maxRequestBytes: 25Mi}
  scaling:
    minReplicas: 1
    maxReplicas: 7
    targetUtilization: 50
    scaleToZeroAfter: 250ms
    schedules:
    - {name: office, from: "0 8 * * MON-FRI", to: "0 18 * * MON-FRI", timeZone: Europe/Paris, minReplicas: 5}
    - {name: nightly, from: "@daily", to: 2h30m, minReplicas: 2}
  retry: {maxAttempts: 5, minBackoff: 2s, maxBackoff: 10m, maxAge: 24h}
  triggers:
  - {name: api, http: {path: "/t/{id}/{rest...}", methods: [POST, PUT], host: "*.example.com"}}
  - name: other
    http: {path: /}
)",
                                     "/srv/photos/f.yaml");
  EXPECT_EQ(function.Key(), "photos/thumbnail");
  EXPECT_THAT(function.labels, ElementsAre(Pair("app.kubernetes.io/name", "thumbnail"), Pair("tier", "")));
  const FunctionSpec& spec = function.spec;
  EXPECT_EQ(spec.artifact.path, "/srv/build/thumbnail.so");
  EXPECT_THAT(spec.artifact.sha256, SizeIs(64));
  EXPECT_EQ(spec.handler, "resize");
  EXPECT_EQ(spec.config_json, R"({"width":256})");
  EXPECT_THAT(spec.environment, ElementsAre(Pair("EMPTY", ""), Pair("MODE", "fast"), Pair("PORT", "80")));
  EXPECT_EQ(spec.concurrency, 4);
  EXPECT_EQ(spec.timeout, seconds(90));
  EXPECT_EQ(spec.memory_limit_bytes, 1u << 30);
  EXPECT_EQ(spec.max_request_bytes, 25u << 20);
  EXPECT_EQ(spec.scaling.min_replicas, 1);
  EXPECT_EQ(spec.scaling.max_replicas, 7);
  EXPECT_EQ(spec.scaling.target_utilization, 50);
  EXPECT_EQ(spec.scaling.scale_to_zero_after, milliseconds(250));
  ASSERT_THAT(spec.scaling.schedules, SizeIs(2));
  EXPECT_EQ(spec.scaling.schedules[0], (ScalingSchedule{"office", "0 8 * * MON-FRI", "0 18 * * MON-FRI",
                                                        milliseconds(0), "Europe/Paris", 5}));
  EXPECT_EQ(spec.scaling.schedules[1],
            (ScalingSchedule{"nightly", "@daily", "", milliseconds(9'000'000), "", 2}));
  EXPECT_EQ(spec.retry.max_attempts, 5);
  EXPECT_EQ(spec.retry.min_backoff, seconds(2));
  EXPECT_EQ(spec.retry.max_backoff, seconds(600));
  EXPECT_EQ(spec.retry.max_age, hours(24));
  ASSERT_THAT(spec.triggers, SizeIs(2));
  EXPECT_EQ(spec.triggers[0].name, "api");
  EXPECT_EQ(spec.triggers[0].http->path, "/t/{id}/{rest...}");
  EXPECT_EQ(spec.triggers[0].http->host, "*.example.com");
  EXPECT_THAT(spec.triggers[0].http->methods, ElementsAre("POST", "PUT"));
  EXPECT_EQ(spec.triggers[1].http->path, "/");
}

TEST(Manifest, ReadsTheOtherSourcesOfAnArtifact) {
  const std::string head =
      "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec:\n  artifact: ";
  EXPECT_EQ(ParseOne(head + "{image: registry/f:1}").spec.artifact.image, "registry/f:1");
  EXPECT_EQ(ParseOne(head + "{configMap: {name: a, key: f.so}}").spec.artifact.config_map_key, "f.so");
  EXPECT_EQ(ParseOne(head + "{url: 's3://b/f.so', sha256: " + std::string(64, 'a') + "}").spec.artifact.url,
            "s3://b/f.so");
}

TEST(Manifest, KeepsTheTypesOfTheConfig) {
  const Function function = ParseOne(WithSpec(R"(  config:
    zero: 0
    big: 18446744073709551615
    negative: -9223372036854775808
    half: 0.5
    tiny: 1e-3
    hex: 0x1F
    yes: true
    "no": false
    nothing: null
    empty:
    text: plain words
    quoted: "5"
    single: 'true'
    tagged: !!str 7
    block: |
      two
      lines
    list: [1, "1", [true], {a: 1.0}]
    version: 1.2.3
)"));
  EXPECT_EQ(
      function.spec.config_json,
      R"({"big":18446744073709551615,"block":"two\nlines\n","empty":null,"half":0.5,"hex":31,)"
      R"("list":[1,"1",[true],{"a":1.0}],"negative":-9223372036854775808,"no":false,"nothing":null,)"
      R"("quoted":"5","single":"true","tagged":"7","text":"plain words","tiny":0.001,"version":"1.2.3",)"
      R"("yes":true,"zero":0})");
}

TEST(Manifest, MakesTheSameConfigOfAnyOrder) {
  EXPECT_EQ(ParseOne(WithSpec("  config: {a: 1, b: 2}\n")).spec.config_json,
            ParseOne(WithSpec("  config: {b: 2, a: 1}\n")).spec.config_json);
}

TEST(Manifest, ReadsWhatKubectlPrints) {
  const Function function = ParseOne(R"(
apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata:
  creationTimestamp: "2026-01-01T00:00:00Z"
  generation: 3
  name: f
  resourceVersion: "71"
  uid: 0b2f
  managedFields: [{manager: kubectl, operation: Update}]
spec: {artifact: {path: f.so}}
status: {conditions: [{type: Ready, status: "True"}]}
)");
  EXPECT_EQ(function.name, "f");
}

TEST(Manifest, ReadsSeveralDocumentsAndPassesOverEmptyOnes) {
  const std::string one =
      "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nspec: {artifact: {path: f.so}}\nmetadata: ";
  const Manifest manifest =
      ParseManifest("---\n# nothing\n---\n" + one + "{name: a}\n---\n" + one + "{name: b}\n---\n", "f");
  EXPECT_TRUE(manifest.ok());
  ASSERT_THAT(manifest.documents, SizeIs(2));
  EXPECT_EQ(manifest.documents[0].key, "default/a");
  EXPECT_EQ(manifest.documents[1].key, "default/b");
}

TEST(Manifest, KeepsTheGoodDocumentsBesideAWrongOne) {
  const std::string good = WithSpec("");
  const Manifest manifest = ParseManifest(
      "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: wrong}\nspec: {}\n---\n" + good,
      "f");
  ASSERT_THAT(manifest.documents, SizeIs(2));
  EXPECT_EQ(manifest.documents[0].key, "default/wrong");
  EXPECT_FALSE(manifest.documents[0].function);
  EXPECT_THAT(manifest.documents[0].mistakes, SizeIs(1));
  EXPECT_TRUE(manifest.documents[1].function);
  EXPECT_FALSE(ParseFunctions("a: 1\n---\n" + good, "f").ok());
}

TEST(Manifest, FindsEveryMistakeInOneGo) {
  const auto functions = ParseFunctions(R"(apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata: {name: F}
spec:
  artifact: {}
  timeout: 5
  scaling:
    minReplicas: -1
    maxReplica: 3
)",
                                        "examples/x.yaml");
  ASSERT_FALSE(functions.ok());
  EXPECT_EQ(
      functions.status().message(),
      "examples/x.yaml:3:18: metadata.name: \"F\" is not a valid name; use lower-case letters, digits and "
      "\"-\", "
      "beginning and ending with a letter or digit\n"
      "examples/x.yaml:5:13: spec.artifact: says not where the module is; give one of path, url, image or "
      "configMap\n"
      "examples/x.yaml:6:12: spec.timeout: \"5\" has no unit; write 5s for seconds, or use ms, m or h\n"
      "examples/x.yaml:8:18: spec.scaling.minReplicas: \"-1\" is less than 0; use 0 or more\n"
      "examples/x.yaml:9:5: spec.scaling.maxReplica: is not a field of spec.scaling; did you mean "
      "\"maxReplicas\"?");
}

TEST(Manifest, CountsTheMistakesThatItDoesNotTell) {
  std::string spec;
  for (int n = 0; n < 150; n++) spec += "  zzzzz" + std::to_string(n) + ": 1\n";
  const Manifest manifest = ParseManifest(WithSpec(spec), "f");
  EXPECT_THAT(manifest.AllMistakes(), SizeIs(100));
  EXPECT_THAT(manifest.AllMistakes().back().sentence, HasSubstr("(and 50 more mistakes)"));
}

TEST(Manifest, MarksObjectsOfOthersSoThatAFolderMayHoldThem) {
  const Manifest manifest = ParseManifest("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "f");
  ASSERT_THAT(manifest.documents, SizeIs(1));
  EXPECT_TRUE(manifest.documents[0].foreign);
  const auto pool =
      ParseManifest("apiVersion: mayfly.dev/v1alpha1\nkind: RuntimePool\nmetadata: {name: p}\n", "f.yaml");
  EXPECT_TRUE(pool.documents.at(0).foreign);
  EXPECT_FALSE(manifest.ok());
  const Manifest mistyped =
      ParseManifest("apiVersion: mayfly.dev/v1\nkind: Function\nmetadata: {name: x}\n", "f");
  EXPECT_FALSE(mistyped.documents.at(0).foreign);
}

TEST(Manifest, TellsAHundredMistakesOfAFileAndCountsTheRest) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "---\napiVersion: mayfly.dev/v1alpha1\n";
  text += "---\napiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: last}\nspec: {}\n---\n" +
          WithSpec("");
  const Manifest manifest = ParseManifest(text, "f.yaml");
  EXPECT_THAT(manifest.AllMistakes(), SizeIs(101));
  EXPECT_THAT(manifest.AllMistakes().back().sentence, HasSubstr("more mistakes in this file"));
  // Whose file it is does not depend on that.
  ASSERT_THAT(manifest.documents, SizeIs(::testing::Ge(2u)));
  EXPECT_TRUE(manifest.documents.back().function);
  EXPECT_EQ(manifest.documents.at(manifest.documents.size() - 2).key, "default/last");
}

TEST(Manifest, ReadsAFileAndSaysWhyItCannot) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("manifest_test." + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "f.yaml") << WithSpec("");
  const Manifest manifest = ReadManifestFile(folder / "f.yaml");
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(manifest.documents.at(0).function->spec.artifact.path, folder / "f.so");
  EXPECT_THAT(ReadManifestFile(folder / "absent.yaml").AllMistakes().at(0).ToString(),
              HasSubstr("absent.yaml:1:1: cannot be read (No such file or directory)"));
  EXPECT_THAT(ReadManifestFile(folder).AllMistakes().at(0).sentence,
              StartsWith("cannot be read (Is a directory)"));
  std::ofstream(folder / "large.yaml") << std::string(2u << 20, '#');
  EXPECT_THAT(ReadManifestFile(folder / "large.yaml").AllMistakes().at(0).sentence,
              HasSubstr("more than 1 MiB"));
  std::filesystem::remove_all(folder);
}

TEST(EffectiveHttpTriggers, AreTheFunctionsOwn) {
  const Function function =
      ParseOne(WithSpec("  triggers: [{name: a, http: {path: /x}}, {name: b, http: {path: /y}}]\n"));
  const auto triggers = EffectiveHttpTriggers(function);
  ASSERT_THAT(triggers, SizeIs(2));
  EXPECT_EQ(triggers[1].http->path, "/y");
}

TEST(EffectiveHttpTriggers, OfAFunctionWithoutTriggersIsItsName) {
  const auto triggers = EffectiveHttpTriggers(ParseOne(WithSpec("")));
  ASSERT_THAT(triggers, SizeIs(1));
  EXPECT_EQ(triggers[0].name, "http");
  EXPECT_EQ(triggers[0].http->path, "/f");
  EXPECT_EQ(triggers[0].http->host, "");
  EXPECT_THAT(triggers[0].http->methods, IsEmpty());
}

}  // namespace
}  // namespace mayfly::op
