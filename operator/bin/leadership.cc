#include "operator/bin/leadership.h"

#include <utility>

#include "base/log.h"

namespace mayfly::op {

absl::StatusOr<std::unique_ptr<Leadership>> Leadership::Begin(const ProgramOptions& options,
                                                              std::int64_t epoch, kube::Client& client,
                                                              const base::Clock& clock,
                                                              base::Metrics& metrics) {
  std::unique_ptr<Leadership> made(new Leadership);
  kube::EventRecorderOptions events;
  events.instance = options.election.identity;
  made->events_ = std::make_unique<kube::EventRecorder>(client, std::move(events));
  made->events_->Start();
  made->cluster_ = std::make_unique<KubernetesCluster>(client, *made->events_, options.cluster);
  made->replicas_ = std::make_unique<GrpcReplicaClient>(nullptr);
  ControlServerOptions control;
  control.address = options.control_address;
  auto server = ControlServer::Start(std::move(control), clock, metrics);
  if (!server.ok()) return server.status();
  made->control_ = *std::move(server);
  OperatorOptions operator_options;
  operator_options.reconciler.base_url = options.base_url;
  operator_options.reconciler.epoch = static_cast<std::uint64_t>(epoch);
  operator_options.workers = options.workers;
  made->operator_ = std::make_unique<Operator>(*made->cluster_, *made->control_, *made->replicas_, clock,
                                               metrics, std::move(operator_options));
  if (absl::Status status = made->operator_->Start(); !status.ok()) return status;
  base::log::Info("leads", {{"epoch", epoch}, {"control", made->control_->address()}});
  return made;
}

Leadership::~Leadership() {
  if (replicas_) replicas_->Cancel();
  if (operator_) operator_->Stop();
  operator_.reset();
  control_.reset();
  replicas_.reset();
  cluster_.reset();
  if (events_) events_->Stop();
}

}  // namespace mayfly::op
