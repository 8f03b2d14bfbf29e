// The custom resource Function, mayfly.dev/v1alpha1, as the operator sees it: parsed, defaulted and valid.
//
// Field names follow the manifest's; durations are kept in milliseconds, sizes in bytes. See the README of
// this folder for the manifest with all its fields.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mayfly/v1/runtime.pb.h"
#include "mayfly/v1/triggers.pb.h"
#include "proto/stable_bytes.h"

namespace mayfly::op {

struct Artifact {
  // Exactly one of these is set.
  std::string image;
  std::string url;
  std::string config_map_name;
  std::string config_map_key;
  std::string path;  // absolute; in a manifest it is relative to the manifest's folder
  // Lower-case hexadecimal; "" if the manifest gives none.
  std::string sha256;
  std::string credentials_secret;  // of `url`; in the function's namespace; "" for none

  bool operator==(const Artifact&) const = default;
};

struct HttpTrigger {
  std::string host;
  std::string path;
  std::vector<std::string> methods;

  bool operator==(const HttpTrigger&) const = default;
};

// A trigger that brings events of its own, as gateways are told of it.
struct EventTrigger {
  v1::EventTrigger message;

  bool operator==(const EventTrigger& other) const {
    return v1::StableBytes(message) == v1::StableBytes(other.message);
  }
};

// Exactly one of the kinds is set; a webhook, which brings events by requests, has both.
struct Trigger {
  std::string name;
  std::optional<HttpTrigger> http{};
  std::optional<EventTrigger> event{};

  bool operator==(const Trigger&) const = default;
};

// A floor for the number of replicas, in windows of time.
struct ScalingSchedule {
  std::string name;
  std::string from;  // a cron expression: when a window opens
  std::string to;    // a cron expression: when it closes; "": `length` later
  std::chrono::milliseconds length{0};
  std::string time_zone;  // "": UTC
  std::int32_t min_replicas = 0;

  bool operator==(const ScalingSchedule&) const = default;
};

struct Scaling {
  std::int32_t min_replicas = 0;
  std::int32_t max_replicas = 20;
  std::int32_t target_utilization = 70;  // percent of a replica's slots
  std::chrono::milliseconds scale_to_zero_after{60'000};
  std::vector<ScalingSchedule> schedules{};

  bool operator==(const Scaling&) const = default;
};

struct Retry {
  std::int32_t max_attempts = 3;
  std::chrono::milliseconds min_backoff{1'000};
  std::chrono::milliseconds max_backoff{300'000};
  std::chrono::milliseconds max_age{21'600'000};

  bool operator==(const Retry&) const = default;
};

// Amounts by the resource's name, as the user wrote them ("500m", "64Mi"): a pod gets the same.
struct Resources {
  std::map<std::string, std::string> requests;
  std::map<std::string, std::string> limits;

  bool operator==(const Resources&) const = default;
};

// As in a Pod.
struct Toleration {
  std::string key;         // "": every key
  std::string comparison;  // "Exists", "Equal"; "": Equal
  std::string value;
  std::string effect;                              // "": every effect
  std::optional<std::int32_t> toleration_seconds;  // absent: for ever

  bool operator==(const Toleration&) const = default;
};

// What pods are like that run a function, or wait for one. Processes of one machine have none of this.
struct PodOptions {
  std::string image;                 // "": the operator's default
  std::string service_account_name;  // "": the namespace's default, without a token
  std::map<std::string, std::string> node_selector;
  std::vector<Toleration> tolerations;
  std::string runtime_class_name;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;

  bool operator==(const PodOptions&) const = default;
};

// Where results of events go; "": nowhere.
struct Destination {
  std::string function;  // of the same namespace
  std::string url;

  bool operator==(const Destination&) const = default;
};

struct Destinations {
  Destination on_success;
  Destination on_failure;

  bool operator==(const Destinations&) const = default;
};

struct FunctionSpec {
  Artifact artifact;
  std::string handler;
  std::string config_json = "{}";
  std::map<std::string, std::string> environment;
  std::int32_t concurrency = 10;
  std::chrono::milliseconds timeout{60'000};
  Resources resources;
  std::uint64_t memory_limit_bytes = 0;        // resources.limits.memory; 0: none
  std::uint64_t max_request_bytes = 6u << 20;  // limits.maxRequestBytes
  Scaling scaling;
  Retry retry;
  std::vector<Trigger> triggers;
  Destinations destinations;
  std::vector<std::string> image_pull_secrets;  // Secrets of the function's namespace
  PodOptions runtime;

  bool operator==(const FunctionSpec&) const = default;
};

struct Function {
  std::string name;
  std::string space = "default";  // metadata.namespace
  std::map<std::string, std::string> labels;
  std::int64_t generation = 1;
  FunctionSpec spec;

  // "namespace/name".
  std::string Key() const { return space + "/" + name; }

  bool operator==(const Function&) const = default;
};

enum class ConditionStatus { kTrue, kFalse, kUnknown };

struct Condition {
  std::string type;  // Ready, ArtifactReady, TriggersReady, Active
  ConditionStatus status = ConditionStatus::kUnknown;
  std::string reason;   // one CamelCase word
  std::string message;  // a sentence
  std::chrono::system_clock::time_point last_transition;
};

// How much of what one gateway has counted of a function is in the function's Usage.
struct UsageMark {
  std::string gateway;
  std::string instance;   // of the gateway's process
  std::int64_t life = 0;  // of the function at that gateway
  std::int64_t invocations = 0;
  std::int64_t wall_microseconds = 0;
  std::int64_t cpu_microseconds = 0;
  std::int64_t memory_kilobyte_milliseconds = 0;

  bool operator==(const UsageMark&) const = default;
};

// What a function has used up since it was made.
struct Usage {
  std::int64_t invocations = 0;
  std::int64_t wall_milliseconds = 0;
  std::int64_t cpu_milliseconds = 0;
  std::int64_t memory_megabyte_seconds = 0;  // peak resident memory times wall time
  std::vector<UsageMark> counted{};          // for whoever goes on counting

  bool operator==(const Usage&) const = default;
};

struct FunctionStatus {
  std::int64_t observed_generation = 0;
  std::vector<Condition> conditions;
  std::int32_t replicas = 0;
  std::int32_t ready_replicas = 0;
  std::int32_t desired_replicas = 0;
  std::string scaling_reason;
  std::string revision;
  std::string url;
  // The last thing that went wrong, if any did.
  std::optional<v1::Problem> last_failure;
  std::chrono::system_clock::time_point last_failure_time;
  std::optional<Usage> usage;  // absent: unknown, which is not 0
};

}  // namespace mayfly::op
