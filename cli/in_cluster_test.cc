#include "cli/in_cluster.h"

#include <gtest/gtest.h>

#include "cli/function_table.h"
#include "cli/plugin.h"
#include "cli/why.h"

namespace mayfly::cli {
namespace {

TEST(ProxyPath, GoesToTheServiceThatTheUrlNames) {
  EXPECT_EQ(*ProxyPath("http://mayfly-gateway.tools.svc/hello", "", ""),
            "/api/v1/namespaces/tools/services/mayfly-gateway:http/proxy/hello");
  EXPECT_EQ(*ProxyPath("http://mayfly-gateway.tools.svc:81/hello", "", "?name=Ada"),
            "/api/v1/namespaces/tools/services/mayfly-gateway:http/proxy/hello?name=Ada");
  EXPECT_EQ(*ProxyPath("http://gw.tools.svc/a", "", "b/c"),
            "/api/v1/namespaces/tools/services/gw:http/proxy/a/b/c");
}

TEST(ProxyPath, GoesToAGatewayIfTheUrlIsForThoseOutside) {
  EXPECT_EQ(*ProxyPath("http://api.example.com/hello", "tools/gw", "/x"),
            "/api/v1/namespaces/tools/services/gw:http/proxy/hello/x");
}

TEST(ProxyPath, PutsWhatIsGivenInPlaceOfAParameter) {
  EXPECT_EQ(*ProxyPath("http://gw.tools.svc/users/{id}", "", "7"),
            "/api/v1/namespaces/tools/services/gw:http/proxy/users/7");
  EXPECT_EQ(*ProxyPath("http://gw.tools.svc/files/{rest...}", "", "/a/b"),
            "/api/v1/namespaces/tools/services/gw:http/proxy/files/a/b");
  const auto missing = ProxyPath("http://gw.tools.svc/users/{id}", "", "");
  EXPECT_EQ(missing.status().message(),
            "its path is /users/{id}: say with --path what comes instead of {id}");
}

TEST(ProxyPath, RefusesAFunctionThatHasNoRoute) {
  EXPECT_TRUE(absl::IsFailedPrecondition(ProxyPath("", "tools/gw", "").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(ProxyPath("https://example.com/a", "tools/gw", "").status()));
}

TEST(IsPlugin, GoesByTheFilesName) {
  EXPECT_TRUE(IsPlugin("/usr/local/bin/kubectl-mayfly"));
  EXPECT_TRUE(IsPlugin("kubectl-mayfly"));
  EXPECT_FALSE(IsPlugin("/opt/kubectl-mayfly/mayfly"));
  EXPECT_FALSE(IsPlugin("mayfly"));
}

constexpr const char* kTwo = R"({"functions": [
  {"metadata": {"name": "a", "namespace": "default"},
   "status": {"readyReplicas": 2, "revision": "0123456789abcdef", "url": "http://gw/a", "scaling": {"desired": 3},
              "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": ""}],
              "usage": {"invocations": 17, "wallMilliseconds": 1234, "cpuMilliseconds": 99}}},
  {"metadata": {"name": "b", "namespace": "photos"}}]})";

TEST(ShowFunctions, TellsWhatEachHasUsed) {
  EXPECT_EQ(*ShowFunctions(kTwo, {}),
            "NAME      READY    REPLICAS  DESIRED  REVISION    INVOCATIONS  BILLED   URL\n"
            "a         True     2         3        0123456789  17           1234 ms  http://gw/a\n"
            "photos/b  Unknown  -         -        -           0            0 ms\n");
}

TEST(ShowFunctions, NamesTheNamespaceOfAllThatAreOfOthers) {
  EXPECT_EQ(*ShowFunctions(kTwo, {.output = "name", .space = ""}), "default/a\nphotos/b\n");
  EXPECT_EQ(*ShowFunctions(kTwo, {.output = "name", .space = "photos"}), "default/a\nb\n");
}

// A function whose module is refused with a long sentence, and one that serves, but for a trigger.
std::string Troubled(const std::string& sentence) {
  return R"({"metadata": {"name": "a", "namespace": "default"}, "status": {
      "conditions": [{"type": "Ready", "status": "False", "reason": "DigestMismatch", "message": ")" +
         sentence + R"("}], "scaling": {"desired": 1, "reason": "45 events wait at trigger orders"}}})";
}
constexpr const char* kNoSource = R"({"metadata": {"name": "b", "namespace": "default"}, "status": {
    "conditions": [{"type": "Ready", "status": "True", "reason": "CanServe", "message": ""},
                   {"type": "TriggersReady", "status": "False", "reason": "SourceNotReady", "message": "trigger t: why"}]}})";

TEST(ShowFunctions, TellsOfOneFunctionTheWholeProblemItsReasonAndWhyItIsScaledSo) {
  const std::string longest(300, 'x');
  const std::string text = *ShowFunctions(Troubled(longest + "\\nsecond"), {.narrow = true});
  EXPECT_NE(text.find("\nProblem: DigestMismatch: " + longest + "\n  second\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nScaling: 45 events wait at trigger orders\n"), std::string::npos) << text;
}

TEST(ShowFunctions, ShortensProblemsInAListOnATerminalOnly) {
  const std::string longest(300, 'x');
  const std::string list = R"({"functions": [)" + Troubled(longest) + "]}";
  EXPECT_NE(ShowFunctions(list, {})->find("DigestMismatch: " + longest), std::string::npos);
  const std::string narrow = *ShowFunctions(list, {.narrow = true});
  EXPECT_EQ(narrow.find(longest), std::string::npos);
  EXPECT_NE(narrow.find("DigestMismatch: xxx"), std::string::npos);
}

TEST(ShowFunctions, NamesATriggerThatGetsNoEventsThoughTheFunctionIsReady) {
  const std::string list = *ShowFunctions(std::string(R"({"functions": [)") + kNoSource + "]}", {});
  EXPECT_NE(list.find("PROBLEM"), std::string::npos) << list;
  EXPECT_NE(list.find("SourceNotReady: trigger t: why"), std::string::npos) << list;
  EXPECT_NE(ShowFunctions(kNoSource, {})->find("Problem: SourceNotReady: trigger t: why"), std::string::npos);
}

TEST(WhyText, SaysWhatIsKnownAndWhatHappenedInOrder) {
  EXPECT_EQ(WhyText(Troubled("other bytes"), {{"2026-01-02T00:00:00Z", "Scaled", "to 1"},
                                              {"2026-01-01T00:00:00Z", "RevisionLoaded", "it serves"}}),
            "Ready: False (DigestMismatch) other bytes\n"
            "Scaling: 45 events wait at trigger orders\n"
            "Events:\n"
            "  2026-01-01T00:00:00Z  RevisionLoaded: it serves\n"
            "  2026-01-02T00:00:00Z  Scaled: to 1\n");
  EXPECT_EQ(WhyText("{}", {}), "No operator has said anything of it yet.\n");
}

TEST(ShowFunctions, RefusesWhatIsNoFunction) {
  for (const char* text :
       {"", "[]", "{}", R"({"functions": 7})", R"({"functions": [7]})", R"({"metadata": {"name": 7}})"}) {
    EXPECT_FALSE(ShowFunctions(text, {}).ok()) << text;
  }
}

}  // namespace
}  // namespace mayfly::cli
