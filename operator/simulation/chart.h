// A picture of simulations: demand and what served it over time, one panel for each policy.
#pragma once

#include <string>
#include <vector>

#include "operator/simulation/simulation.h"

namespace mayfly::op {

// SVG. REQUIRES: all results are of the same workload. `slots`: of a replica.
std::string DrawSvg(const Workload& workload, const std::vector<SimResult>& results, std::int32_t slots);

}  // namespace mayfly::op
