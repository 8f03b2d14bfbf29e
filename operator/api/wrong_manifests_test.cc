// Wrong manifests, and the sentence that each gets: what a user sees is part of the contract.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "operator/api/manifest.h"

namespace mayfly::op {
namespace {

struct WrongManifest {
  const char* name;
  std::string text;
  // "line:column: field: sentence" of each mistake, in order.
  std::vector<std::string> mistakes;
};

constexpr char kHead[] = "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\n";

// With `artifact` as the value of spec.artifact, in line 5.
std::string Artifact(const std::string& artifact) {
  return std::string(kHead) + "spec:\n  artifact: " + artifact + "\n";
}
// With `spec` from line 6 on.
std::string Spec(const std::string& spec) { return Artifact("{path: f.so}") + "  " + spec + "\n"; }
// With one trigger, whose http is `http`, in line 6; http begins in column 33.
std::string Http(const std::string& http) { return Spec("triggers: [{name: api,   http: " + http + "}]"); }
std::string Metadata(const std::string& metadata) {
  return "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: " + metadata +
         "\nspec: {artifact: {path: f.so}}\n";
}

const std::vector<WrongManifest>& Table() {
  static const std::string kLong(64, 'a');
  static const std::vector<WrongManifest> kTable = {
      // The file.
      {"syntax",
       "a: [1\nb: 2\n",
       {"2:2: this is not YAML: end of sequence flow not found; mend the syntax here or just above"}},
      {"tab",
       "a:\n\tb: 1\n",
       {"2:3: this is not YAML: illegal map value; mend the syntax here or just above"}},
      {"unknown alias",
       "a: *x\n",
       {"1:4: this is not YAML: the referenced anchor is not defined; mend the syntax here or just above"}},
      {"alias within itself",
       "a: &x [*x]\n",
       {"1:8: this alias stands inside what it repeats; write it out"}},
      {"not UTF-8", "a: b\nc: \xff\n", {"2:4: this byte is not UTF-8 text; save the file as UTF-8"}},
      {"NUL", std::string("a: \0", 4), {"1:4: this byte is not UTF-8 text; save the file as UTF-8"}},
      {"too deep",
       "a: " + std::string(100, '[') + std::string(100, ']'),
       {"1:67: this is nested more than 64 levels deep; make it flatter"}},
      {"a list", "- a\n", {"1:1: expected a mapping (\"key: value\" lines), found a list"}},
      {"a text", "hello\n", {"1:1: expected a mapping (\"key: value\" lines), found the text \"hello\""}},

      // What it is.
      {"no kind",
       "apiVersion: mayfly.dev/v1alpha1\nmetadata: {name: f}\nspec: {artifact: {path: f.so}}\n",
       {"1:1: kind: is missing; write kind: Function"}},
      {"no apiVersion",
       "kind: Function\nmetadata: {name: f}\nspec: {artifact: {path: f.so}}\n",
       {"1:1: apiVersion: is missing; write apiVersion: mayfly.dev/v1alpha1"}},
      {"other version",
       "apiVersion: mayfly.dev/v2\nkind: Function\nmetadata: {name: f}\nspec: {artifact: {path: f}}\n",
       {"1:13: apiVersion: \"mayfly.dev/v2\" is not served; write mayfly.dev/v1alpha1"}},
      {"of another group",
       "apiVersion: v1\nkind: ConfigMap\n",
       {"1:13: apiVersion: ConfigMap of \"v1\" is no object of Mayfly's; a Function has apiVersion: "
        "mayfly.dev/v1alpha1"}},
      {"mistyped kind",
       "apiVersion: mayfly.dev/v1alpha1\nkind: Funktion\n",
       {"2:7: kind: \"Funktion\" is not a kind of mayfly.dev/v1alpha1; did you mean \"Function\"?"}},
      {"other kind",
       "apiVersion: mayfly.dev/v1alpha1\nkind: Gateway\n",
       {"2:7: kind: \"Gateway\" is not a kind of mayfly.dev/v1alpha1; write Function"}},
      {"RuntimePool",
       "apiVersion: mayfly.dev/v1alpha1\nkind: RuntimePool\n",
       {"2:7: kind: RuntimePool is not served by this version; only Function is"}},
      {"unknown top field",
       std::string(kHead) + "spce: {artifact: {path: f.so}}\n",
       {"1:1: spec: is missing; write spec: {artifact: {path: …}}",
        "4:1: spce: is not a field of the manifest; did you mean \"spec\"?"}},
      {"twice the same field",
       Spec("timeout: 1s\n  timeout: 2s"),
       {"7:3: spec.timeout: is given twice; keep one of the two"}},
      {"twice the same function",
       Spec("timeout: 1s") + "---\n" + Spec("timeout: 1s"),
       {"8:1: metadata.name: the function \"default/f\" is already described in line 1; give each a name of "
        "its own"}},
      {"spec is a list",
       std::string(kHead) + "spec: []\n",
       {"4:7: spec: expected a mapping (\"key: value\" lines), found a list"}},
      {"merge key",
       Spec("<<: {timeout: 1s}"),
       {"6:3: spec: merge keys (\"<<\") are not part of YAML 1.2; write the fields out"}},
      {"a mapping as a field's name",
       Spec("? {a: b}\n  : 1"),
       {"6:5: spec: expected a field's name, found a mapping"}},

      // metadata.
      {"no metadata",
       "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nspec: {artifact: {path: f.so}}\n",
       {"1:1: metadata: is missing; write metadata: {name: …}"}},
      {"no name",
       Metadata("{namespace: a}"),
       {"3:11: metadata.name: is missing; name the function, as in metadata: {name: thumbnail}"}},
      {"name with capitals",
       Metadata("{name: Thumb_nail}"),
       {"3:18: metadata.name: \"Thumb_nail\" is not a valid name; use lower-case letters, digits and \"-\", "
        "beginning and "
        "ending with a letter or digit"}},
      {"name too long",
       Metadata("{name: " + kLong + "}"),
       {"3:18: metadata.name: \"" + kLong + "\" has 64 characters; use at most 63"}},
      {"name is a number",
       Metadata("{name: 7}"),
       {"3:18: metadata.name: expected a text, found the number \"7\"; put it in quotes: \"7\""}},
      {"name is a bool",
       Metadata("{name: true}"),
       {"3:18: metadata.name: expected a text, found the bool true; put it in quotes: \"true\""}},
      {"name is a bool to some",
       Metadata("{name: on}"),
       {"3:18: metadata.name: on is a text to some YAML readers and a bool to others; write true or false, "
        "or put \"on\" in "
        "quotes"}},
      {"name is a list", Metadata("{name: [f]}"), {"3:18: metadata.name: expected a text, found a list"}},
      {"namespace",
       Metadata("{name: f, namespace: a.b}"),
       {"3:32: metadata.namespace: \"a.b\" is not a valid name; use lower-case letters, digits and \"-\", "
        "beginning and "
        "ending with a letter or digit"}},
      {"unknown metadata",
       Metadata("{name: f, label: {}}"),
       {"3:21: metadata.label: is not a field of metadata; did you mean \"labels\"?"}},
      {"label's key",
       Metadata("{name: f, labels: {-a: b}}"),
       {"3:30: metadata.labels[\"-a\"]: \"-a\" is not a valid key; use letters, digits, \"-\", \"_\" and "
        "\".\" (at most 63), "
        "after an optional \"domain/\""}},
      {"label's value",
       Metadata("{name: f, labels: {a: b c}}"),
       {"3:33: metadata.labels[\"a\"]: \"b c\" is not a valid label value; use at most 63 letters, digits, "
        "\"-\", \"_\" and "
        "\".\""}},
      {"label is a number",
       Metadata("{name: f, labels: {a: 1}}"),
       {"3:33: metadata.labels[\"a\"]: expected a text, found the number \"1\"; put it in quotes: \"1\""}},

      // spec.artifact.
      {"no artifact",
       std::string(kHead) + "spec: {timeout: 1s}\n",
       {"4:7: spec.artifact: is missing; say where the module is, as in artifact: {path: "
        "build/thumbnail.so}"}},
      {"empty artifact",
       Artifact("{}"),
       {"5:13: spec.artifact: says not where the module is; give one of path, url, image or configMap"}},
      {"two sources",
       Artifact("{path: f.so, image: f}"),
       {"5:33: spec.artifact.image: path and image are given together; keep one"}},
      {"empty path",
       Artifact("{path: ''}"),
       {"5:20: spec.artifact.path: is empty; give the path of the module, as in path: build/thumbnail.so"}},
      {"artifact is a text",
       Artifact("f.so"),
       {"5:13: spec.artifact: expected a mapping (\"key: value\" lines), found the text \"f.so\""}},
      {"unknown source",
       Artifact("{file: f.so}"),
       {"5:13: spec.artifact: says not where the module is; give one of path, url, image or configMap",
        "5:14: spec.artifact.file: is not a field of spec.artifact; it has path, url, image, configMap, "
        "sha256"}},
      {"digest",
       Artifact("{path: f.so, sha256: ABC}"),
       {"5:34: spec.artifact.sha256: \"ABC\" is not a digest; write the 64 lower-case hexadecimal digits "
        "that sha256sum "
        "prints"}},
      {"URL without digest",
       Artifact("{url: 'https://example.com/f.so'}"),
       {"5:13: spec.artifact.sha256: is missing; a module from a URL needs its digest: sha256sum prints it"}},
      {"scheme of URL",
       Artifact("{url: 'ftp://example.com/f.so', sha256: " + std::string(64, '0').replace(0, 1, "a") + "}"),
       {"5:19: spec.artifact.url: \"ftp://example.com/f.so\" is not a URL that is fetched; begin it with "
        "https://, http:// "
        "or s3://"}},
      {"ConfigMap without key",
       Artifact("{configMap: {name: a}}"),
       {"5:25: spec.artifact.configMap.key: is missing; name the key that holds the module"}},

      // Plain fields of spec.
      {"unknown field",
       Spec("concurency: 3"),
       {"6:3: spec.concurency: is not a field of spec; did you mean \"concurrency\"?"}},
      {"handler",
       Spec("handler: Resize"),
       {"6:12: spec.handler: \"Resize\" is not a valid name; use lower-case letters, digits and \"-\", "
        "beginning and ending "
        "with a letter or digit"}},
      {"concurrency is a text",
       Spec("concurrency: many"),
       {"6:16: spec.concurrency: expected a whole number, found the text \"many\""}},
      {"concurrency in quotes",
       Spec("concurrency: \"3\""),
       {"6:16: spec.concurrency: expected a whole number, found the text \"3\"; write it without quotes"}},
      {"concurrency is a fraction",
       Spec("concurrency: 1.5"),
       {"6:16: spec.concurrency: expected a whole number, found the number \"1.5\""}},
      {"concurrency is zero",
       Spec("concurrency: 0"),
       {"6:16: spec.concurrency: \"0\" is less than 1; use 1 or more"}},
      {"concurrency is huge",
       Spec("concurrency: 99999999999"),
       {"6:16: spec.concurrency: \"99999999999\" is more than 1000; use 1000 or less"}},
      {"concurrency past 64 bits",
       Spec("concurrency: 99999999999999999999"),
       {"6:16: spec.concurrency: 99999999999999999999 does not fit 64 bits; put it in quotes to keep its "
        "digits"}},
      {"concurrency is octal",
       Spec("concurrency: 010"),
       {"6:16: spec.concurrency: 010 is octal to some YAML readers and decimal to others; drop the leading "
        "0, or put \"010\" "
        "in quotes"}},
      {"timeout without unit",
       Spec("timeout: 30"),
       {"6:12: spec.timeout: \"30\" has no unit; write 30s for seconds, or use ms, m or h"}},
      {"timeout with a strange unit",
       Spec("timeout: 3d"),
       {"6:12: spec.timeout: \"3d\" has the unknown unit \"d\"; use h, m, s or ms"}},
      {"timeout is no duration",
       Spec("timeout: soon"),
       {"6:12: spec.timeout: \"soon\" is not a duration; write one like 30s, 5m, 1h30m or 250ms"}},
      {"timeout negative",
       Spec("timeout: -5s"),
       {"6:12: spec.timeout: \"-5s\" is negative; a duration is 0s or more"}},
      {"timeout too short",
       Spec("timeout: 1ms"),
       {"6:12: spec.timeout: \"1ms\" is less than 10ms; use 10ms or more"}},
      {"timeout too long",
       Spec("timeout: 48h"),
       {"6:12: spec.timeout: \"48h\" is more than 24h; use 24h or less"}},
      {"timeout too fine",
       Spec("timeout: 1.0001s"),
       {"6:12: spec.timeout: \"1.0001s\" is finer than a millisecond or longer than 100 years"}},
      {"timeout is a mapping",
       Spec("timeout: {seconds: 3}"),
       {"6:12: spec.timeout: expected a duration like 30s, found a mapping"}},
      {"dead letter",
       Spec("deadLetter: {nats: x}"),
       {"6:15: spec.deadLetter: destinations for dead letters are not served by this version; leave it out"}},
      {"unknown field of runtime",
       Spec("runtime: {imagee: x}"),
       {"6:13: spec.runtime.imagee: is not a field of spec.runtime; did you mean \"image\"?"}},

      // spec.config.
      {"config is a text",
       Spec("config: '{\"a\": 1}'"),
       {"6:11: spec.config: expected a mapping (\"key: value\" lines), found the text \"{\"a\": 1}\""}},
      {"config with a key twice",
       Spec("config: {a: 1, b: {c: 1, c: 2}}"),
       {"6:28: spec.config.b.c: is given twice; keep one of the two"}},
      {"config with an ambiguous bool",
       Spec("config: {a: [yes]}"),
       {"6:16: spec.config.a[0]: yes is a text to some YAML readers and a bool to others; write true or "
        "false, or put "
        "\"yes\" in quotes"}},
      {"config with infinity",
       Spec("config: {a: -.inf}"),
       {"6:15: spec.config.a: -.inf has no form in JSON; put it in quotes"}},
      {"config with a tag",
       Spec("config: {a: !secret b}"),
       {"6:15: spec.config.a: the tag \"!secret\" is not known here; leave it out"}},

      // spec.env.
      {"env is a mapping",
       Spec("env: {A: b}"),
       {"6:8: spec.env: expected a list (\"- item\" lines), found a mapping"}},
      {"variable without name",
       Spec("env: [{value: b}]"),
       {"6:9: spec.env[0].name: is missing; name the variable"}},
      {"variable's name",
       Spec("env: [{name: A B}]"),
       {"6:16: spec.env[0].name: \"A B\" is not a variable's name; use letters, digits and \"_\", not "
        "beginning with a "
        "digit"}},
      {"variable's value is a number",
       Spec("env: [{name: A, value: 80}]"),
       {"6:26: spec.env[0].value: expected a text, found the number \"80\"; put it in quotes: \"80\""}},
      {"variable from a Secret",
       Spec("env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}]"),
       {"6:30: spec.env[0].valueFrom: values from Secrets, ConfigMaps and fields are not served by this "
        "version; write value "
        "instead"}},
      {"variable twice",
       Spec("env: [{name: A}, {name: A}]"),
       {"6:27: spec.env[1].name: \"A\" is set twice; keep one of the two"}},
      {"variable of the loader",
       Spec("env: [{name: LD_PRELOAD, value: x}]"),
       {"6:16: spec.env[0].name: \"LD_PRELOAD\" steers the dynamic loader or the allocator of the worker "
        "itself and cannot be "
        "set; link the module with what it needs instead"}},
      {"envFrom",
       Spec("envFrom: [{secretRef: {name: a}}]"),
       {"6:12: spec.envFrom: variables from Secrets and ConfigMaps are not served by this version; list them "
        "in env"}},

      // spec.resources, spec.limits.
      {"memory's suffix",
       Spec("resources: {limits: {memory: 64MB}}"),
       {"6:32: spec.resources.limits.memory: \"64MB\" has the unknown suffix \"MB\"; use Ki, Mi, Gi, Ti (or "
        "k, M, G, T for "
        "powers of 1000)"}},
      {"memory is no size",
       Spec("resources: {limits: {memory: lots}}"),
       {"6:32: spec.resources.limits.memory: \"lots\" is not a size; write one like 64Mi, 1Gi or 500k"}},
      {"memory too small",
       Spec("resources: {limits: {memory: 1Mi}}"),
       {"6:32: spec.resources.limits.memory: \"1Mi\" is less than 16Mi; use 16Mi or more"}},
      {"request above limit",
       Spec("resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}"),
       {"6:25: spec.resources.requests: memory 2Gi is more than its limit 1Gi; lower the request or raise "
        "the limit"}},
      {"processors",
       Spec("resources: {limits: {cpu: two}}"),
       {"6:29: spec.resources.limits.cpu: \"two\" is not an amount of processors; write one like 2, 0.5 or "
        "500m"}},
      {"unknown resource",
       Spec("resources: {limits: {mem: 1Gi}}"),
       {"6:24: spec.resources.limits.mem: is not a field of spec.resources.limits; it has memory, cpu, "
        "ephemeral-storage"}},
      {"request body too large",
       Spec("limits: {maxRequestBytes: 2Gi}"),
       {"6:29: spec.limits.maxRequestBytes: \"2Gi\" is more than 1Gi; use 1Gi or less"}},
      {"negative size",
       Spec("limits: {maxRequestBytes: -1}"),
       {"6:29: spec.limits.maxRequestBytes: \"-1\" is negative; a size is 0 or more"}},
      {"fraction of a byte",
       Spec("limits: {maxRequestBytes: 1024.5}"),
       {"6:29: spec.limits.maxRequestBytes: \"1024.5\" is no whole number of bytes below 8Ei"}},

      // spec.scaling, spec.retry.
      {"negative replicas",
       Spec("scaling: {minReplicas: -1}"),
       {"6:26: spec.scaling.minReplicas: \"-1\" is less than 0; use 0 or more"}},
      {"min above max",
       Spec("scaling: {minReplicas: 5, maxReplicas: 2}"),
       {"6:26: spec.scaling.minReplicas: minReplicas 5 is more than maxReplicas 2; raise maxReplicas or "
        "lower minReplicas"}},
      {"target",
       Spec("scaling: {targetUtilization: 170}"),
       {"6:32: spec.scaling.targetUtilization: \"170\" is more than 100; use 100 or less"}},
      {"unknown scaling",
       Spec("scaling: {scaleToZero: 1m}"),
       {"6:13: spec.scaling.scaleToZero: is not a field of spec.scaling; did you mean "
        "\"scaleToZeroAfter\"?"}},
      {"no attempts",
       Spec("retry: {maxAttempts: 0}"),
       {"6:24: spec.retry.maxAttempts: \"0\" is less than 1; use 1 or more"}},
      {"backoffs",
       Spec("retry: {minBackoff: 10m}"),
       {"6:23: spec.retry.minBackoff: minBackoff 10m is longer than maxBackoff 5m; raise maxBackoff or lower "
        "minBackoff"}},

      // spec.triggers.
      {"triggers is a mapping",
       Spec("triggers: {name: a}"),
       {"6:13: spec.triggers: expected a list (\"- item\" lines), found a mapping"}},
      {"trigger without name",
       Spec("triggers: [{http: {path: /}}]"),
       {"6:14: spec.triggers[0].name: is missing; name the trigger, as in name: api"}},
      {"trigger without source",
       Spec("triggers: [{name: a}]"),
       {"6:14: spec.triggers[0]: has no source of events; add one, as in http: {path: /thumbnails}"}},
      {"trigger with two sources",
       Spec("triggers: [{name: a, http: {path: /}, cron: {schedule: '* * * * *'}}]"),
       {"6:47: spec.triggers[0].cron: triggers of kind cron are not served by this version of Mayfly; use "
        "http",
        "6:47: spec.triggers[0].cron: has more than one source of events (http, cron); make a trigger of "
        "each"}},
      {"two triggers of one name",
       Spec("triggers: [{name: a, http: {path: /}}, {name: a, http: {path: /b}}]"),
       {"6:49: spec.triggers[1].name: \"a\" is already the name of triggers[0]; give each a name of its "
        "own"}},
      {"two triggers of one route",
       Spec("triggers: [{name: a, http: {path: /}}, {name: b, http: {path: /, methods: [GET]}}]"),
       {"6:42: spec.triggers[1].http: serves the same host, path and method as triggers[0]; change one of "
        "them"}},
      {"later kind of trigger",
       Spec("triggers: [{name: a, objectStore: {bucket: b}}]"),
       {"6:37: spec.triggers[0].objectStore: triggers of kind objectStore are not served by this version of "
        "Mayfly; use "
        "http"}},
      {"unknown kind of trigger",
       Spec("triggers: [{name: a, htpp: {path: /}}]"),
       {"6:24: spec.triggers[0].htpp: is not a field of spec.triggers[0]; did you mean \"http\"?"}},
      {"http without path",
       Http("{methods: [GET]}"),
       {"6:34: spec.triggers[0].http.path: is missing; give the path to serve, as in path: /thumbnails"}},
      {"path without slash",
       Http("{path: a}"),
       {"6:41: spec.triggers[0].http.path: \"a\" does not begin with \"/\"; write \"/a\""}},
      {"path with query",
       Http("{path: '/a?b=c'}"),
       {"6:41: spec.triggers[0].http.path: \"/a?b=c\" has a query; a route matches the path alone, so leave "
        "out \"?\" and "
        "what follows"}},
      {"path with fragment",
       Http("{path: '/a#b'}"),
       {"6:41: spec.triggers[0].http.path: \"/a#b\" has a fragment, which no client sends; leave out \"#\" "
        "and what follows"}},
      {"path with an empty segment",
       Http("{path: /a//b}"),
       {"6:41: spec.triggers[0].http.path: \"/a//b\" has an empty segment (\"//\"); write one \"/\""}},
      {"path with dots",
       Http("{path: /a/../b}"),
       {"6:41: spec.triggers[0].http.path: the segment \"..\" never arrives: clients resolve it; write the "
        "path that is "
        "meant"}},
      {"path with a space",
       Http("{path: '/a b'}"),
       {"6:41: spec.triggers[0].http.path: the character \" \" cannot stand in a path; percent-encode it"}},
      {"path with half a percent",
       Http("{path: '/a%2'}"),
       {"6:41: spec.triggers[0].http.path: the segment \"a%2\" has a \"%\" without two hexadecimal digits; "
        "write %25 for a "
        "\"%\""}},
      {"path with part of a parameter",
       Http("{path: '/a-{id}'}"),
       {"6:41: spec.triggers[0].http.path: the segment \"a-{id}\" mixes text and a parameter; a parameter is "
        "a whole "
        "segment, as in /users/{id}"}},
      {"path with a bad parameter",
       Http("{path: '/{1}'}"),
       {"6:41: spec.triggers[0].http.path: the parameter \"1\" is no name; use letters, digits and \"_\", as "
        "in {id}"}},
      {"path with a parameter twice",
       Http("{path: '/{a}/{a}'}"),
       {"6:41: spec.triggers[0].http.path: the parameter {a} comes twice; give each a name of its own"}},
      {"path with a rest in the middle",
       Http("{path: '/{a...}/b'}"),
       {"6:41: spec.triggers[0].http.path: \"{a...}\" matches the rest of a path, so it must come last"}},
      {"path of Mayfly's",
       Http("{path: /_mayfly/x}"),
       {"6:41: spec.triggers[0].http.path: \"/_mayfly/x\" belongs to Mayfly's own endpoints; choose a path "
        "outside "
        "/_mayfly"}},
      {"method in lower case",
       Http("{path: /, methods: [get]}"),
       {"6:54: spec.triggers[0].http.methods[0]: \"get\" is not a method that is served; did you mean "
        "\"GET\"?"}},
      {"strange method",
       Http("{path: /, methods: [CONNECT]}"),
       {"6:54: spec.triggers[0].http.methods[0]: \"CONNECT\" is not a method that is served; use one of "
        "DELETE, GET, HEAD, "
        "OPTIONS, PATCH, POST, PUT"}},
      {"method twice",
       Http("{path: /, methods: [GET, GET]}"),
       {"6:59: spec.triggers[0].http.methods[1]: \"GET\" is listed twice; keep one"}},
      {"host with port",
       Http("{path: /, host: 'a.b:80'}"),
       {"6:50: spec.triggers[0].http.host: \"a.b:80\" has a port or a scheme; write the host name alone, as "
        "in "
        "example.com"}},
      {"host with capitals",
       Http("{path: /, host: Example.com}"),
       {"6:50: spec.triggers[0].http.host: \"Example.com\" is not a host name; write it in lower case, as in "
        "example.com or "
        "*.example.com"}},
  };
  return kTable;
}

TEST(WrongManifest, IsAnsweredWithASentenceThatMendsIt) {
  EXPECT_GE(Table().size(), 60u);
  for (const WrongManifest& row : Table()) {
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
  for (const WrongManifest& row : Table()) {
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
