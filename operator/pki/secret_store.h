// Where certificates are kept: Secrets, by namespace and name.
#pragma once

#include <map>
#include <string>

#include "base/status.h"

namespace mayfly::op {

struct SecretName {
  std::string space;
  std::string name;

  auto operator<=>(const SecretName&) const = default;
};

struct Secret {
  std::map<std::string, std::string> data;  // as it is, not in Base64
  std::string wish;                         // the annotation mayfly.dev/rotate
  std::string uid;
  std::string version;
};

// Thread-safe. Calls may block, for seconds.
class SecretStore {
 public:
  virtual ~SecretStore() = default;

  virtual absl::StatusOr<Secret> Get(const SecretName& name) = 0;
  // Replaces the data of one that is there, if it is still the version that was read; kAborted if not.
  virtual absl::Status Replace(const SecretName& name, const std::map<std::string, std::string>& data,
                               const std::string& version) = 0;
  // Makes or changes one of type kubernetes.io/tls. With `owner`, a Secret of the same namespace, it goes when that does.
  virtual absl::Status Put(const SecretName& name, const std::map<std::string, std::string>& data,
                           const SecretName& owner, const std::string& owner_uid) = 0;
  virtual absl::Status Delete(const SecretName& name) = 0;
  // A warning beside the Secret, for people.
  virtual void Warn(const SecretName& name, const std::string& uid, const std::string& message) = 0;
};

}  // namespace mayfly::op
