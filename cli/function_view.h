// A FunctionView is all that a local instance knows of one function, as the JSON that its control API answers with and
// that `mayfly get -o json` prints: the shape of the resource in Kubernetes, with a list of replicas beside it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operator/controller/cluster.h"
#include "operator/reconcilers/function_state.h"

namespace mayfly::cli {

struct FunctionView {
  std::string key;  // "namespace/name"
  op::FunctionObject object;
  std::optional<op::FunctionStatus> status;
  std::vector<op::Replica> replicas;
  std::vector<op::TimedDecision> decisions;  // oldest first
  std::vector<op::TimedEvent> events;        // oldest first
  std::vector<std::string> manifests;
  // Where it answers: the gateway's address and the first HTTP trigger's path; or by its name.
  std::string url;
};

// As JSON text, one line.
std::string ToJson(const FunctionView& view);

// Whether its requests are answered, whatever else is wrong: an older manifest or module may serve.
bool Serves(const FunctionView& view);

// Whether none of its routes is its own: they belong to other functions already.
bool HasNoRoute(const FunctionView& view);

// The first thing that is wrong with the function, in plain words; "" if nothing is.
std::string WhatIsWrong(const FunctionView& view);

}  // namespace mayfly::cli
