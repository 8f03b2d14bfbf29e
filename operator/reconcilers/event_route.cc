#include "operator/reconcilers/event_route.h"

#include <utility>

#include "operator/api/event_policy.h"

namespace mayfly::op {

std::vector<TriggerProblem> AddEvents(const FunctionSpec& spec, const TriggerSecrets& secrets,
                                      v1::FunctionRoute* route) {
  std::vector<TriggerProblem> problems;
  for (const Trigger& trigger : spec.triggers) {
    if (!trigger.event) continue;
    v1::EventTrigger message = trigger.event->message;
    std::string problem = secrets.Fill(&message);
    if (problem.empty()) {
      *route->add_triggers() = std::move(message);
    } else {
      route->add_withheld(trigger.name);
      problems.push_back({.trigger = trigger.name, .message = std::move(problem)});
    }
  }
  const std::string space = route->function().substr(0, route->function().find('/') + 1);
  const auto tell = [&](const Destination& destination, v1::Destination* to) {
    if (!destination.function.empty()) to->set_function(space + destination.function);
    to->set_url(destination.url);
  };
  if (spec.destinations.on_success != Destination())
    tell(spec.destinations.on_success, route->mutable_on_success());
  if (spec.destinations.on_failure != Destination())
    tell(spec.destinations.on_failure, route->mutable_on_failure());
  *route->mutable_retry() = RetryMessage(spec.retry);
  route->set_concurrency(static_cast<std::uint32_t>(spec.concurrency));
  return problems;
}

}  // namespace mayfly::op
