// The SecretStore of a cluster. It needs get and patch of the Secrets that it is asked for by name, and nothing else:
// server-side apply makes what is not there.
#pragma once

#include "operator/kube/client.h"
#include "operator/kube/event_recorder.h"
#include "operator/pki/secret_store.h"

namespace mayfly::op {

class KubeSecretStore final : public SecretStore {
 public:
  // Both must outlive it.
  KubeSecretStore(kube::Client& client, kube::EventRecorder& events) : client_(client), events_(events) {}

  absl::StatusOr<Secret> Get(const SecretName& name) override;
  absl::Status Replace(const SecretName& name, const std::map<std::string, std::string>& data,
                       const std::string& version) override;
  absl::Status Put(const SecretName& name, const std::map<std::string, std::string>& data,
                   const SecretName& owner, const std::string& owner_uid) override;
  absl::Status Delete(const SecretName& name) override;
  void Warn(const SecretName& name, const std::string& uid, const std::string& message) override;

 private:
  kube::Client& client_;
  kube::EventRecorder& events_;
};

}  // namespace mayfly::op
