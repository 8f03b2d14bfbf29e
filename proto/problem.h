// Problems, and results that carry one, in a line each.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "mayfly/v1/runtime.pb.h"

namespace mayfly::v1 {

// `component` is whose fault it is, `reason` one CamelCase word, `message` a sentence.
inline Problem MakeProblem(std::string_view component, std::string_view reason, std::string message) {
  Problem problem;
  problem.set_component(component.data(), component.size());
  problem.set_reason(reason.data(), reason.size());
  problem.set_message(std::move(message));
  return problem;
}

// The result of an invocation that did not end well. No metering.
inline Result MakeResult(Outcome outcome, std::string_view component, std::string_view reason,
                         std::string message) {
  Result result;
  result.set_outcome(outcome);
  *result.mutable_problem() = MakeProblem(component, reason, std::move(message));
  return result;
}

}  // namespace mayfly::v1
