// A real API server for a test: tests/cluster/apiserver as a child of this process, which ends with it.
//
// Needs the tools of tests/cluster in their cache (`make cluster-tools`), so such tests have the label `kubernetes` and
// are run by `make e2e`, not by `make test`. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mayfly::testing {

class RunningApiServer {
 public:
  // Starts one and waits until it answers. `arguments` are those of tests/cluster/apiserver, such as "--controllers".
  static absl::StatusOr<RunningApiServer> Start(const std::vector<std::string>& arguments = {});

  RunningApiServer(RunningApiServer&& other) noexcept;
  RunningApiServer& operator=(RunningApiServer&& other) noexcept;
  // Ends it; nothing of it is left.
  ~RunningApiServer();

  // The path of a kubeconfig whose user may do everything.
  const std::string& kubeconfig() const { return kubeconfig_; }

  // "kill kube-apiserver", "start kube-apiserver", "freeze etcd", "thaw etcd", "compact" …: see the head of
  // tests/cluster/apiserver. Returns once it is done, and the program's own words if it could not be.
  absl::Status Command(const std::string& line);

 private:
  RunningApiServer() = default;
  absl::StatusOr<std::string> ReadLine(int seconds);
  void Stop();

  pid_t pid_ = -1;
  int input_ = -1;   // of the child
  int output_ = -1;  // of the child
  std::string unread_;
  std::string kubeconfig_;
};

}  // namespace mayfly::testing
