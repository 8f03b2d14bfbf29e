// What gateways are told of a function's events: its triggers beside HTTP, and how often they try.
#pragma once

#include <vector>

#include "mayfly/v1/control.pb.h"
#include "operator/api/function.h"
#include "operator/reconcilers/trigger_health.h"
#include "operator/reconcilers/trigger_secrets.h"

namespace mayfly::op {

// Triggers whose Secret is not to be had are left out, and returned with the reason.
std::vector<TriggerProblem> AddEvents(const FunctionSpec& spec, const TriggerSecrets& secrets,
                                      v1::FunctionRoute* route);

}  // namespace mayfly::op
