// A Cluster is where Functions and their replicas live: a Kubernetes API server, or one machine's folder and
// processes.
//
// The operator knows nothing else of its surroundings, so the same reconciler and the same autoscaler run on
// both. A cluster is level-triggered: a watcher hears *which* function changed, never what happened to it,
// and reads the state again. Lost or merged notices are therefore harmless as long as one comes after the
// last change.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "operator/api/function.h"

namespace mayfly::op {

enum class ReplicaPhase {
  kStarting,  // made, and its runtime does not answer yet
  kRunning,   // its runtime answers at `address`
  kEnding,    // somebody else told it to end: it finishes what it has, and takes nothing new
  kFailed,    // ended by itself; `message` says how
};

// A runtime of one function: a pod, or a process. Which revision it serves is the reconciler's business: it
// loads it.
struct Replica {
  std::string name;
  std::string function;  // "namespace/name"
  ReplicaPhase phase = ReplicaPhase::kStarting;
  std::string address;  // a gRPC target
  // How it failed; or what keeps it from starting, if that is more than a wait ("ImagePullBackOff").
  std::string reason = {};  // one CamelCase word; "" if there is none
  std::string message;
  // What it was made from, as FunctionObject has it: it can only serve what was made of the same.
  std::string replica_template = {};
  // It was made for a pool: it has no volume of any function's.
  bool pooled = false;
  std::chrono::steady_clock::time_point created;
};

// A Function as the cluster holds it. An invalid one (a manifest that does not parse) has no spec but a
// problem.
struct FunctionObject {
  std::shared_ptr<const Function> function;  // null if the manifest is invalid and never was valid
  // Set if the newest manifest is wrong; `function` is then the last good one.
  std::optional<v1::Problem> problem;
  // The module's own digest, lower-case hexadecimal, which a runtime checks; "" if nobody knows it beforehand.
  std::string artifact_sha256;
  // Which content the artifact has now, where its digest does not say: two that differ are different revisions. Both
  // are "" while the content is not known, with `artifact_problem`.
  std::string artifact_identity = {};
  // Where a runtime can read that content, unchanged for as long as a replica uses it; or, if `artifact_bytes` is set,
  // the content itself.
  std::string artifact_path;
  std::shared_ptr<const std::string> artifact_bytes = nullptr;
  // Or where a runtime fetches it from; artifact_sha256 is known then.
  std::string artifact_url = {};
  // Or the image that it is in: replicas have a volume of it at artifact_path, and one of a pool fetches it. Without logins.
  std::optional<v1::ModuleImage> artifact_image = {};
  std::optional<v1::Problem> artifact_problem;
  // What replicas are made from that cannot be changed once they run (image, resources …); "" if there is no such
  // thing. A replica of another template serves on until enough of this one do.
  std::string replica_template = {};
  // As it was last written, by whatever operator; nothing if it never was, or the cluster keeps none.
  std::optional<FunctionStatus> status = {};
  // Another number whenever the cluster knows that a Secret of the function's namespace has changed; always 0 if it is
  // not told of such changes.
  std::uint64_t secrets_version = 0;
};

// The values of a Secret, by key: in no log, status, metric or error.
using SecretData = std::map<std::string, std::string>;

struct EventRecord {
  std::string function;
  bool warning = false;
  std::string reason;   // one CamelCase word
  std::string message;  // a sentence
};

class Cluster {
 public:
  virtual ~Cluster() = default;

  // Calls `changed` with the key of every function that exists, then of each whose manifest, artifact or
  // replicas changed or went. Called on the cluster's own thread; must not block. Returns once the first list
  // is done.
  virtual absl::Status Watch(std::function<void(const std::string& function)> changed) = 0;
  // Calls nothing any more once it has returned.
  virtual void Unwatch() = 0;

  virtual std::vector<std::string> Functions() const = 0;
  // kNotFound if it is gone.
  virtual absl::StatusOr<FunctionObject> GetFunction(const std::string& function) const = 0;

  // The Secret `name` of the namespace `space`. May block for some seconds. kNotFound, kPermissionDenied and
  // kInvalidArgument are final until somebody mends it, and say for people how; after another error it is as it was.
  virtual absl::StatusOr<SecretData> GetSecret(const std::string& space, const std::string& name) const = 0;

  virtual std::vector<Replica> Replicas(const std::string& function) const = 0;
  // Starts a replica for `function` and returns its name at once; Watch tells when it runs or failed.
  virtual absl::StatusOr<std::string> CreateReplica(const Function& function) = 0;
  // Asks the replica to end: SIGTERM now, SIGKILL after `grace`. Not an error if it is gone.
  virtual absl::Status DeleteReplica(const std::string& replica, std::chrono::milliseconds grace) = 0;

  virtual absl::Status WriteStatus(const std::string& function, const FunctionStatus& status) = 0;
  virtual void RecordEvent(const EventRecord& event) = 0;
};

}  // namespace mayfly::op
