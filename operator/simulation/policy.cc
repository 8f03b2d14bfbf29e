#include "operator/simulation/policy.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mayfly::op {

std::vector<std::string> PolicyNames() { return {"mayfly", "knative", "hpa-keda"}; }

absl::StatusOr<std::unique_ptr<ScalingPolicy>> MakePolicy(std::string_view name, const ScalingSpec& spec,
                                                          base::WallTime start) {
  if (name == "mayfly") return MakeMayflyPolicy(spec, start);
  if (name == "knative") return MakeKnativePolicy(spec);
  if (name == "hpa-keda") return MakeHpaKedaPolicy(spec);
  return absl::InvalidArgumentError(absl::StrCat("there is no policy \"", std::string(name),
                                                 "\"; use some of ", absl::StrJoin(PolicyNames(), ", ")));
}

}  // namespace mayfly::op
