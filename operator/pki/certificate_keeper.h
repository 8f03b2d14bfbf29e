// A CertificateKeeper is the operator's own authority at work: the leader keeps one.
//
// It keeps the authority's key in a Secret that nobody else reads; the operator's own certificate in memory; the gateways'
// in a Secret beside it; and, in each namespace that has Functions, the runtimes' in a Secret that their pods mount. Each is
// renewed when two thirds of its life are over, and anew when the authority changes (authority.h). Kubelets bring what
// changed to the pods, whose processes read it again: nothing restarts.
//
// What fails is tried again with the next look, told once in the log and beside the Secret, and counted.
//
// Thread-safe. Thread `certificates` looks after them.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "operator/pki/authority.h"
#include "operator/pki/secret_store.h"
#include "tls/identity.h"

namespace mayfly::op {

struct CertificateKeeperOptions {
  std::string space;      // the operator's namespace
  std::string authority;  // the authority's Secret there, which must exist; empty at first
  std::string gateway;    // the gateways' there
  std::string runtime;    // the runtimes' in each namespace of Functions
  AuthorityRules rules;
  std::chrono::seconds life{std::chrono::hours(24)};  // of certificates
  std::chrono::seconds look{10};
  // How often Secrets are read that should be as they were: somebody may have deleted one.
  std::chrono::seconds doubt{300};
};

class CertificateKeeper {
 public:
  // All that is referred to must outlive it. `spaces` tells the namespaces that have Functions.
  CertificateKeeper(SecretStore& store, CertificateKeeperOptions options,
                    std::function<std::vector<std::string>()> spaces, const base::Clock& clock,
                    base::Metrics& metrics);

  // Reads or makes the authority, and who this operator is. The identity lives as long as the keeper.
  absl::StatusOr<tls::Identity*> Open();
  void Start();

  // The runtimes' Secret of `space` is there when it returns OK.
  absl::Status Prepare(const std::string& space);

  // One look at everything, as the thread does it. The first thing that failed, if one did.
  absl::Status Look();

 private:
  // One Secret that others mount.
  struct Kept {
    tls::Material material;
    base::WallTime read;
  };

  absl::Status ReadAuthority();
  absl::Status KeepOwn();
  absl::Status Keep(const SecretName& name, const std::string& peer, tls::Use use);
  // Whether `material` should be replaced at `now`.
  bool IsDue(const tls::Material& material, const std::string& peer, base::WallTime now) const;
  absl::StatusOr<tls::Material> IssueFor(const std::string& peer, tls::Use use) const;
  void Forget(const std::vector<std::string>& spaces);
  void Fail(const SecretName& name, const absl::Status& status);

  SecretStore& store_;
  const CertificateKeeperOptions options_;
  const std::function<std::vector<std::string>()> spaces_;
  const base::Clock& clock_;
  base::Metrics& metrics_;
  prometheus::Counter& failures_;
  prometheus::Gauge& authority_expires_;
  const SecretName authority_name_;

  std::mutex mutex_;  // held over calls of the store: one thing at a time
  // Guarded by mutex_:
  std::optional<Authority> authority_;
  Secret authority_secret_;
  std::map<SecretName, Kept> kept_;
  std::map<SecretName, std::string> complaints_;
  std::optional<base::WallTime> settled_;
  tls::Material own_;
  std::unique_ptr<tls::Identity> identity_;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::op
