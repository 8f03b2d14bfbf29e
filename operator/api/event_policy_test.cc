#include "operator/api/event_policy.h"

#include <gtest/gtest.h>

#include "operator/api/function_resource.h"

namespace mayfly::op {
namespace {

// The one trigger of a function with `spec`, as gateways are told of it.
v1::EventTrigger TriggerOf(const std::string& trigger) {
  const auto resource = ParseFunctionResource(
      R"({"metadata": {"name": "f"}, "spec": {"artifact": {"image": "i"}, "retry": {"maxAttempts": 7, "maxAge": "1h"},
          "triggers": [)" +
      trigger + "]}}");
  EXPECT_TRUE(resource.ok() && resource->document.function) << trigger;
  if (!resource.ok() || !resource->document.function) return {};
  return resource->document.function->spec.triggers.at(0).event.value_or(EventTrigger()).message;
}

TEST(EventPolicy, IsHandedToGatewaysAsTheManifestSaysIt) {
  const v1::EventTrigger trigger = TriggerOf(
      R"({"name": "a", "cron": {"schedule": "@daily"}, "batch": {"size": 100, "window": "5s", "bytes": "64Ki"},
          "orderBy": "lane", "maxInFlight": 3})");
  EXPECT_EQ(trigger.batch().max_events(), 100u);
  EXPECT_EQ(trigger.batch().window_ms(), 5'000u);
  EXPECT_EQ(trigger.batch().max_bytes(), 65'536u);
  EXPECT_EQ(trigger.order_by(), "lane");
  EXPECT_EQ(trigger.max_in_flight(), 3u);
  EXPECT_FALSE(trigger.has_retry()) << "the function's counts";
}

TEST(EventPolicy, TakesFromTheFunctionsRetryWhatATriggersLeavesOut) {
  const v1::RetryPolicy retry =
      TriggerOf(R"({"name": "a", "cron": {"schedule": "@daily"}, "retry": {"minBackoff": "2s"}})").retry();
  EXPECT_EQ(retry.max_attempts(), 7u);
  EXPECT_EQ(retry.min_backoff_ms(), 2'000u);
  EXPECT_EQ(retry.max_backoff_ms(), 300'000u);
  EXPECT_EQ(retry.max_age_ms(), 3'600'000u);
}

TEST(EventPolicy, IsOneEventEachInAnyOrderWhereNothingIsSaid) {
  const v1::EventTrigger trigger =
      TriggerOf(R"({"name": "a", "cron": {"schedule": "@daily"}, "orderBy": "none"})");
  EXPECT_FALSE(trigger.has_batch());
  EXPECT_EQ(trigger.order_by(), "");
  EXPECT_EQ(trigger.max_in_flight(), 0u);
}

}  // namespace
}  // namespace mayfly::op
