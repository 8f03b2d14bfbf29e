#include "operator/api/function_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "operator/api/json_document.h"
#include "operator/api/object_meta.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;
using std::chrono::system_clock;

FunctionStatus Example() {
  FunctionStatus status;
  status.observed_generation = 3;
  status.conditions = {{"Ready", ConditionStatus::kTrue, "Serving", "2 of 2 replicas are ready.",
                        *ParseTime("2026-03-01T12:00:00Z")},
                       {"Active", ConditionStatus::kUnknown, "", "", *ParseTime("2026-03-01T12:00:01Z")}};
  status.replicas = 2;
  status.ready_replicas = 2;
  status.desired_replicas = 4;
  status.scaling_reason = "31 busy slots of 20";
  status.revision = "0123456789";
  status.url = "http://gateway.example.com/thumbnails";
  status.last_failure.emplace();
  status.last_failure->set_component("runtime");
  status.last_failure->set_reason("Crashed");
  status.last_failure->set_message("SIGSEGV");
  status.last_failure_time = *ParseTime("2026-03-01T11:59:59Z");
  status.usage = Usage{7, 1234, 567, 61, {{"gw-1", "i1", 2, 7, 1'234'000, 567'000, 61'700'000}}};
  return status;
}

TEST(FunctionStatus, IsWrittenAsKubernetesWritesStatuses) {
  const Json json = Json::parse(FunctionStatusToJson(Example(), "thumbnail"));
  EXPECT_EQ(json, Json::parse(R"({
    "observedGeneration": 3, "replicas": 2, "readyReplicas": 2, "desiredReplicas": 4, "revision": "0123456789",
    "selector": "mayfly.dev/function=thumbnail", "url": "http://gateway.example.com/thumbnails",
    "conditions": [
      {"type": "Ready", "status": "True", "reason": "Serving", "message": "2 of 2 replicas are ready.",
       "observedGeneration": 3, "lastTransitionTime": "2026-03-01T12:00:00Z"},
      {"type": "Active", "status": "Unknown", "reason": "Active", "message": "", "observedGeneration": 3,
       "lastTransitionTime": "2026-03-01T12:00:01Z"}],
    "scaling": {"desired": 4, "reason": "31 busy slots of 20"},
    "lastFailure": {"time": "2026-03-01T11:59:59Z", "component": "runtime", "reason": "Crashed", "message": "SIGSEGV"},
    "usage": {"invocations": 7, "wallMilliseconds": 1234, "cpuMilliseconds": 567, "memoryMegabyteSeconds": 61,
      "counted": [{"gateway": "gw-1", "instance": "i1", "life": 2, "invocations": 7, "wallMicroseconds": 1234000,
                   "cpuMicroseconds": 567000, "memoryKilobyteMilliseconds": 61700000}]}})"));
}

TEST(FunctionStatus, IsTheSameTextAfterItWasReadBack) {
  for (const FunctionStatus& status : {Example(), FunctionStatus()}) {
    const std::string text = FunctionStatusToJson(status, "f");
    const auto node = ParseJson(text);
    ASSERT_TRUE(node.ok());
    EXPECT_EQ(FunctionStatusToJson(ReadFunctionStatus(*node), "f"), text);
  }
}

TEST(FunctionStatus, IsTheSameTextForTimesWithinOneSecond) {
  FunctionStatus status = Example();
  const std::string text = FunctionStatusToJson(status, "f");
  status.conditions[0].last_transition += std::chrono::milliseconds(999);
  EXPECT_EQ(FunctionStatusToJson(status, "f"), text);
}

TEST(FunctionStatus, NamesWhatAMergePatchTakesAway) {
  const Json omitted = Json::parse(FunctionStatusToJson(FunctionStatus(), "f"));
  const Json nulled = Json::parse(FunctionStatusToJson(FunctionStatus(), "f", AbsentFields::kNull));
  for (const char* field : {"revision", "url", "scaling", "lastFailure", "usage"}) {
    EXPECT_FALSE(omitted.contains(field)) << field;
    EXPECT_TRUE(nulled.contains(field) && nulled[field].is_null()) << field;
  }
}

TEST(FunctionStatus, IsValidWhateverAFailureSays) {
  FunctionStatus status = Example();
  status.last_failure->set_message(std::string(100'000, 'a') + "\xff");
  status.conditions[0].message = "\xff\xfe" + std::string(40'000, 'b');
  const Json json = Json::parse(FunctionStatusToJson(status, "f"));
  EXPECT_LE(json["lastFailure"]["message"].get<std::string>().size(), 32'768u);
  EXPECT_LE(json["conditions"][0]["message"].get<std::string>().size(), 32'774u);
}

TEST(FunctionStatus, ReadsWhatIsNoneOfOursAsDefaults) {
  for (const char* text :
       {"{}", "[]", "7", R"({"replicas": "many", "conditions": {}, "lastFailure": [], "usage": 3})"}) {
    const auto node = ParseJson(text);
    ASSERT_TRUE(node.ok());
    EXPECT_EQ(ReadFunctionStatus(*node).replicas, 0) << text;
  }
  const auto huge = ParseJson(R"({"replicas": 99999999999, "readyReplicas": -4})");
  EXPECT_EQ(ReadFunctionStatus(*huge).replicas, INT32_MAX);
  EXPECT_EQ(ReadFunctionStatus(*huge).ready_replicas, 0);
}

}  // namespace
}  // namespace mayfly::op
