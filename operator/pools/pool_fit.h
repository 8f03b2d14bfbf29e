// Whether a function can be served by what a pool's replicas are.
#pragma once

#include <chrono>
#include <string>

#include "operator/api/function.h"
#include "operator/api/runtime_pool.h"

namespace mayfly::op {

// The longest timeout of a function in a replica of a pool. Its pods are given time to end for this one: it cannot be
// changed once they run.
inline constexpr std::chrono::milliseconds kPoolTimeout = std::chrono::minutes(15);

// Why `function` needs a replica of its own, as a sentence that names the field; "" if one of `pool`'s serves it as well.
//
// What Load hands over is no obstacle: module, handler, config, environment, concurrency, limits of a worker. What a pod
// is made from is: it has to be what the function would get by itself, or what it leaves open.
//   volumes       artifact.credentialsSecret: a pod of its own. An artifact.image needs none: it is fetched
//   who it is     serviceAccountName, runtimeClassName, image: the same
//   resources     a function that asks for none takes the pool's; else all amounts are the same
//   placement     what nodeSelector and tolerations ask for, the pool has too
//   labels        those of podLabels and podAnnotations, the pool has too
//   timeout       at most kPoolTimeout
std::string WhyNotFromPool(const Function& function, const RuntimePoolSpec& pool);

}  // namespace mayfly::op
