#include "operator/pods/pod_view.h"

#include <fmt/format.h>

#include "operator/api/function_status.h"
#include "operator/api/runtime_pool.h"
#include "operator/kube/object_meta.h"
#include "operator/pods/pod_template.h"

namespace mayfly::op {
namespace {

// What containers wait for that is no failure.
bool IsOrdinaryWait(std::string_view reason) {
  return reason.empty() || reason == "ContainerCreating" || reason == "PodInitializing";
}

void ReadFailure(const kube::JsonView& status, PodView& view) {
  view.phase = ReplicaPhase::kFailed;
  view.reason = std::string(status["reason"].Text("PodFailed"));  // "Evicted", "NodeLost"
  view.message = std::string(status["message"].Text());
  status["containerStatuses"].ForEachItem([&view](const kube::JsonView& container) {
    const kube::JsonView ended = container["state"]["terminated"];
    if (!ended.exists()) return;
    const std::string_view reason = ended["reason"].Text("Error");
    if (view.reason == "PodFailed") view.reason = std::string(reason);
    const std::int64_t signal = ended["signal"].Integer();
    view.message += fmt::format("{}its runtime ended: {}, {}", view.message.empty() ? "" : "; ", reason,
                                signal != 0 ? fmt::format("signal {}", signal)
                                            : fmt::format("exit code {}", ended["exitCode"].Integer()));
    const std::string_view said = ended["message"].Text();
    if (!said.empty()) view.message += fmt::format("; its last lines were: {}", said.substr(0, 1024));
  });
  if (view.message.empty()) view.message = "its pod failed and nobody says why";
}

// Whether all containers run. Notes what holds one up.
bool ReadContainers(const kube::JsonView& status, PodView& view) {
  bool any = false;
  bool all_run = true;
  status["containerStatuses"].ForEachItem([&](const kube::JsonView& container) {
    any = true;
    if (container["state"]["running"].exists()) return;
    all_run = false;
    const kube::JsonView waiting = container["state"]["waiting"];
    if (IsOrdinaryWait(waiting["reason"].Text())) return;
    view.reason = std::string(waiting["reason"].Text());
    view.message = std::string(waiting["message"].Text(waiting["reason"].Text()));
  });
  return any && all_run;
}

void ReadConditions(const kube::JsonView& status, PodView& view) {
  status["conditions"].ForEachItem([&view](const kube::JsonView& condition) {
    if (condition["type"].Text() != "PodScheduled" || condition["status"].Text() != "False") return;
    view.reason = std::string(condition["reason"].Text("Unschedulable"));
    view.message = std::string(condition["message"].Text());
  });
}

}  // namespace

PodView ReadPod(const kube::JsonView& pod) {
  const kube::ObjectMeta meta = kube::ReadMeta(pod);
  const kube::JsonView status = pod["status"];
  PodView view;
  view.space = meta.space;
  view.name = meta.name;
  view.function = std::string(pod["metadata"]["labels"][kFunctionLabel].Text());
  view.pool = std::string(pod["metadata"]["labels"][kPoolLabel].Text());
  view.owner = std::string(kube::ControllerUid(pod));
  view.replica_template = std::string(pod["metadata"]["annotations"][kTemplateAnnotation].Text());
  view.pooled = !view.pool.empty() || pod["metadata"]["annotations"][kFromPoolAnnotation].exists();
  view.ip = std::string(status["podIP"].Text());
  const std::string_view phase = status["phase"].Text();
  if (phase == "Failed" || phase == "Succeeded") {
    ReadFailure(status, view);
    return view;
  }
  const bool runs = ReadContainers(status, view);
  ReadConditions(status, view);
  if (runs && phase == "Running" && !view.ip.empty()) view.phase = ReplicaPhase::kRunning;
  if (meta.deleting) view.phase = ReplicaPhase::kEnding;
  return view;
}

}  // namespace mayfly::op
