// LocalCluster keeps what every Cluster promises.
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/temp_dir.h"
#include "operator/controller/testing/cluster_contract.h"
#include "operator/local/local_cluster.h"

namespace mayfly::op {
namespace {

namespace fs = std::filesystem;

class LocalRig {
 public:
  LocalRig() {
    fs::create_directory(temp_ / "m");
    fs::create_directory(temp_ / "run");
    LocalClusterOptions options;
    options.paths = {temp_ / "m"};
    options.run_dir = temp_ / "run";
    options.runtime_program = MAYFLY_FAKE_RUNTIME;
    options.debounce = std::chrono::milliseconds(5);
    cluster_ = LocalCluster::Start(std::move(options)).value();
  }

  Cluster& cluster() { return *cluster_; }
  void Apply(const std::string& name, int concurrency) {
    base::WriteFile(File(name),
                    absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: ", name,
                                 "}\nspec: {artifact: {path: x.so}, concurrency: ", concurrency, "}\n"));
  }
  void Remove(const std::string& name) { fs::remove(File(name)); }
  // A replica's process works in the folder that its socket is in.
  void KillReplica(const Replica& replica) {
    const fs::path folder = fs::path(replica.address.substr(std::string("unix:").size())).parent_path();
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
      std::error_code error;
      if (fs::read_symlink(entry.path() / "cwd", error) == folder && !error) {
        ::kill(std::atoi(entry.path().filename().c_str()), SIGKILL);
      }
    }
  }

 private:
  std::string File(const std::string& name) const { return temp_ / absl::StrCat("m/", name, ".yaml"); }

  base::TempDir temp_;
  std::unique_ptr<LocalCluster> cluster_;
};

}  // namespace

INSTANTIATE_TYPED_TEST_SUITE_P(Local, ClusterContract, LocalRig);

}  // namespace mayfly::op
