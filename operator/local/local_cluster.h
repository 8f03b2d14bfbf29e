// A LocalCluster is one machine: a folder of manifests for an API, and child processes for pods.
//
// Manifests (of Functions, and of Secrets) and the modules that they name are watched with inotify: what changes takes effect at once. Each
// module is snapshotted under its digest, so a linker that writes over it hurts no replica. Replicas are
// mayfly-runtime processes on Unix sockets in a private folder; they die with this process, however it dies.
//
// Threads: "files" watches and reads; "replicas" (see ReplicaSupervisor) starts, watches and reaps. Watch()'s
// callback runs on either of them or in Watch(), never two at once.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "operator/controller/cluster.h"
#include "operator/local/artifact_store.h"
#include "operator/local/folder_watcher.h"
#include "operator/local/function_log.h"
#include "operator/local/manifest_folder.h"
#include "operator/local/manifest_index.h"
#include "operator/local/replica_supervisor.h"

namespace mayfly::op {

struct LocalClusterOptions {
  // Folders of manifests, or single files.
  std::vector<std::string> paths;
  // Exists, is private, and nobody else uses it; see RunDir.
  std::string run_dir;
  std::string runtime_program;
  std::vector<std::string> runtime_arguments;
  // Changes that come within this time are read together.
  std::chrono::milliseconds debounce{25};
  // How often everything is looked at even if no notice came.
  std::chrono::milliseconds resync{10'000};
  // How long a snapshot stays that no function names any more.
  std::chrono::milliseconds snapshot_linger{120'000};
  LogBook::Limits log_limits;
  // Called with each line that a replica writes, on the cluster's thread; must not block.
  std::function<void(const std::string& function, const std::string& replica, std::string_view line)> on_line;
  // Called with each event that is recorded; must not block.
  std::function<void(const EventRecord& event)> on_event;
};

class LocalCluster final : public Cluster {
 public:
  // Reads all manifests once. A wrong manifest is no error here: its function says so.
  static absl::StatusOr<std::unique_ptr<LocalCluster>> Start(LocalClusterOptions options);
  // Ends every replica and waits for it, which takes a third of a second at most.
  ~LocalCluster() override;

  absl::Status Watch(std::function<void(const std::string& function)> changed) override;
  void Unwatch() override;
  std::vector<std::string> Functions() const override;
  absl::StatusOr<FunctionObject> GetFunction(const std::string& function) const override;
  absl::StatusOr<SecretData> GetSecret(const std::string& space, const std::string& name) const override;
  std::vector<Replica> Replicas(const std::string& function) const override;
  absl::StatusOr<std::string> CreateReplica(const Function& function) override;
  absl::Status DeleteReplica(const std::string& replica, std::chrono::milliseconds grace) override;
  absl::Status WriteStatus(const std::string& function, const FunctionStatus& status) override;
  void RecordEvent(const EventRecord& event) override;

  // What WriteStatus() wrote last.
  std::optional<FunctionStatus> Status(const std::string& function) const;
  // The manifests that describe `function`.
  std::vector<std::string> ManifestFiles(const std::string& function) const;
  LogBook& log() { return log_; }

 private:
  struct ArtifactState {
    std::set<std::string> functions;  // whose artifact it is
    std::optional<Snapshot> snapshot;
    std::optional<v1::Problem> problem;
  };

  explicit LocalCluster(LocalClusterOptions options);

  void RunFiles(const std::stop_token& stop);
  // Each returns the functions that may have changed. On the files thread only, save in Start().
  std::set<std::string> LookAtEverything();
  std::set<std::string> LookAt(const FolderWatcher::Changes& changes);
  std::set<std::string> ReadFile(const std::string& path);
  // REQUIRES: mutex_ is held.
  std::set<std::string> ReplaceSecrets(const std::string& path, std::vector<SecretManifest> secrets);
  std::set<std::string> LinkArtifacts(const std::set<std::string>& functions);
  std::set<std::string> RefreshArtifact(const std::string& path);
  void Collect();
  void Notify(const std::set<std::string>& functions);
  void Notify(const std::string& function);
  void Wake();

  const LocalClusterOptions options_;
  std::vector<std::string> roots_;  // absolute
  ArtifactStore artifacts_;
  LogBook log_;

  // The files thread's own (and Start()'s, before there is one).
  std::optional<FolderWatcher> watcher_;
  std::map<std::string, FileIdentity> seen_;  // manifests as last read
  std::set<std::string> manifest_folders_;
  std::map<std::string, std::string> artifact_folders_;  // artifact → the folder that is watched for it
  std::set<std::string> retry_;                          // files that somebody was writing
  bool watching_all_ = true;
  bool unreadable_ = false;  // a module could not be copied at the last look
  std::string last_complaint_;
  base::FileDescriptor wake_;

  mutable std::mutex mutex_;
  ManifestIndex index_;                                         // guarded by mutex_
  std::map<std::string, ArtifactState> artifacts_of_;           // by path; guarded by mutex_
  std::map<std::string, std::string> artifact_paths_;           // function → path; guarded by mutex_
  std::map<std::string, FunctionStatus> statuses_;              // guarded by mutex_
  std::map<std::string, std::vector<SecretManifest>> secrets_;  // by file; guarded by mutex_
  std::uint64_t secrets_version_ = 1;                           // guarded by mutex_

  std::mutex watch_mutex_;                           // held while `changed_` is called
  std::function<void(const std::string&)> changed_;  // guarded by watch_mutex_

  std::unique_ptr<ReplicaSupervisor> replicas_;
  std::jthread files_thread_;
};

}  // namespace mayfly::op
