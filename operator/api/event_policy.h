// How the events of one trigger are delivered, as a manifest says it: batch, orderBy, maxInFlight,
// retry, and backlogPerReplica. The same for
// every kind of source that brings events; HTTP requests have none of it.
#pragma once

#include <string>
#include <string_view>

#include "mayfly/v1/triggers.pb.h"
#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// Whether a trigger's field `name` is one of the policy's.
bool IsEventPolicy(std::string_view name);

// `retry` is the function's: what a trigger's own leaves out is as there.
void ReadEventPolicy(FieldReader& trigger, const Retry& retry, MistakeList& mistakes,
                     v1::EventTrigger* events);

// Notes each field of the policy in a trigger that brings no events as a mistake.
void RefuseEventPolicy(FieldReader& trigger);

// Fields that are absent are as in `defaults`.
Retry ReadRetry(const YamlNode& node, const std::string& path, MistakeList& mistakes, const Retry& defaults);

// As gateways are told.
v1::RetryPolicy RetryMessage(const Retry& retry);

}  // namespace mayfly::op
