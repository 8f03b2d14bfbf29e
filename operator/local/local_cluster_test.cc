#include "operator/local/local_cluster.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"

namespace mayfly::op {
namespace {

using base::Eventually;
using base::TempDir;
using base::WriteFile;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
namespace fs = std::filesystem;

std::string ManifestText(const std::string& name, const std::string& artifact, int concurrency = 1) {
  return absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: ", name,
                      "}\nspec:\n  artifact: {path: ", artifact, "}\n  concurrency: ", concurrency, "\n");
}

class LocalClusterTest : public ::testing::Test {
 protected:
  LocalClusterTest() {
    fs::create_directory(temp_ / "m");
    fs::create_directory(temp_ / "run");
  }

  void Start(std::vector<std::string> paths = {}) {
    LocalClusterOptions options;
    options.paths = paths.empty() ? std::vector<std::string>{temp_ / "m"} : std::move(paths);
    options.run_dir = temp_ / "run";
    options.runtime_program = MAYFLY_FAKE_RUNTIME;
    options.debounce = milliseconds(5);
    options.resync = std::chrono::minutes(10);  // so that only notices can help
    absl::StatusOr<std::unique_ptr<LocalCluster>> started = LocalCluster::Start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    cluster_ = *std::move(started);
  }
  FunctionObject Get(const std::string& key) { return cluster_->GetFunction(key).value_or(FunctionObject{}); }
  bool Has(const std::string& key) { return cluster_->GetFunction(key).ok(); }

  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TempDir temp_;
  std::unique_ptr<LocalCluster> cluster_;
};

TEST_F(LocalClusterTest, FindsManifestsInSubfoldersAndTheirModules) {
  WriteFile(temp_ / "m/a/function.yaml", ManifestText("a", "build/a.so"));
  WriteFile(temp_ / "m/a/build/a.so", "module");
  WriteFile(temp_ / "m/b.yml", ManifestText("b", "b.so"));
  WriteFile(temp_ / "m/build/copy.yaml", ManifestText("copy", "x.so"));
  WriteFile(temp_ / "m/.hidden/x.yaml", ManifestText("hidden", "x.so"));
  WriteFile(temp_ / "m/compose.yaml", "services: {}\n");
  WriteFile(temp_ / "m/chart.yaml", "{{ template }}: [\n");
  Start();
  EXPECT_THAT(cluster_->Functions(), UnorderedElementsAre("default/a", "default/b"));
  const FunctionObject a = Get("default/a");
  ASSERT_TRUE(a.function);
  EXPECT_FALSE(a.problem || a.artifact_problem);
  EXPECT_EQ(a.artifact_sha256.size(), 64u);
  EXPECT_EQ(Read(a.artifact_path), "module");
  EXPECT_EQ(a.artifact_path.substr(0, (temp_ / "run").size()), temp_ / "run");
}

TEST_F(LocalClusterTest, TakesASingleFile) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  WriteFile(temp_ / "m/b.yaml", ManifestText("b", "b.so"));
  Start({temp_ / "m/a.yaml"});
  EXPECT_THAT(cluster_->Functions(), ElementsAre("default/a"));
  // An editor that writes a new file and renames it over the old one.
  WriteFile(temp_ / "m/.a.swp", ManifestText("a", "a.so", 9));
  fs::rename(temp_ / "m/.a.swp", temp_ / "m/a.yaml");
  EXPECT_TRUE(Eventually([&] { return Get("default/a").function->spec.concurrency == 9; }));
}

TEST_F(LocalClusterTest, LooksAgainSoonAtAModuleThatCouldNotBeCopied) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  Start();
  // As a disk that is full: no change in a watched folder ends it.
  fs::rename(temp_ / "run/artifacts", temp_ / "run/away");
  WriteFile(temp_ / "run/artifacts", "no folder");
  WriteFile(temp_ / "m/a.so", "module");
  ASSERT_TRUE(Eventually([&] {
    const FunctionObject a = Get("default/a");
    return a.artifact_problem && a.artifact_problem->reason() == "ArtifactUnreadable";
  }));
  fs::remove(temp_ / "run/artifacts");
  fs::rename(temp_ / "run/away", temp_ / "run/artifacts");
  EXPECT_TRUE(Eventually([&] { return Get("default/a").artifact_sha256.size() == 64; }));
}

TEST_F(LocalClusterTest, SaysWhichPathIsNotThere) {
  LocalClusterOptions options;
  options.paths = {temp_ / "absent"};
  options.run_dir = temp_ / "run";
  options.runtime_program = MAYFLY_FAKE_RUNTIME;
  EXPECT_THAT(std::string(LocalCluster::Start(options).status().message()), HasSubstr(temp_ / "absent"));
}

TEST_F(LocalClusterTest, SeesManifestsComeChangeAndGo) {
  Start();
  EXPECT_THAT(cluster_->Functions(), IsEmpty());
  WriteFile(temp_ / "m/new/folder/a.yaml", ManifestText("a", "a.so"));
  ASSERT_TRUE(Eventually([&] { return Has("default/a"); }));
  WriteFile(temp_ / "m/new/folder/a.yaml", ManifestText("a", "a.so", 5));
  ASSERT_TRUE(Eventually([&] { return Get("default/a").function->spec.concurrency == 5; }));
  EXPECT_EQ(Get("default/a").function->generation, 2);
  fs::rename(temp_ / "m/new", temp_ / "m/moved");
  WriteFile(temp_ / "m/moved/folder/b.yaml", ManifestText("b", "b.so"));
  ASSERT_TRUE(Eventually([&] { return Has("default/b"); }));
  EXPECT_TRUE(Has("default/a"));
  fs::remove_all(temp_ / "m/moved");
  EXPECT_TRUE(Eventually([&] { return cluster_->Functions().empty(); }));
}

TEST_F(LocalClusterTest, SurvivesItsFolderBeingRemovedAndMadeAgain) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  Start();
  fs::remove_all(temp_ / "m");
  ASSERT_TRUE(Eventually([&] { return !Has("default/a"); }));
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  EXPECT_TRUE(Eventually([&] { return Has("default/a"); }));
}

TEST_F(LocalClusterTest, KeepsTheLastGoodManifestAndTellsEveryMistake) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so", 3));
  Start();
  WriteFile(temp_ / "m/a.yaml",
            "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: a}\n"
            "spec: {artifact: {path: a.so}, concurency: 3, timeout: soon}\n");
  ASSERT_TRUE(Eventually([&] { return Get("default/a").problem.has_value(); }));
  const FunctionObject object = Get("default/a");
  ASSERT_TRUE(object.function);
  EXPECT_EQ(object.function->spec.concurrency, 3);
  EXPECT_THAT(object.problem->message(), HasSubstr("concurency"));
  EXPECT_THAT(object.problem->message(), HasSubstr("timeout"));
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so", 4));
  EXPECT_TRUE(Eventually([&] { return !Get("default/a").problem; }));
}

TEST_F(LocalClusterTest, NamesBothManifestsOfOneFunction) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  WriteFile(temp_ / "m/z.yaml", ManifestText("a", "a.so"));
  Start();
  ASSERT_TRUE(Get("default/a").problem);
  EXPECT_THAT(Get("default/a").problem->message(), HasSubstr("z.yaml"));
  fs::remove(temp_ / "m/z.yaml");
  EXPECT_TRUE(Eventually([&] { return !Get("default/a").problem && Get("default/a").function; }));
}

TEST_F(LocalClusterTest, TakesAModuleOnceItIsBuilt) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "out/dir/a.so"));
  Start();
  ASSERT_TRUE(Get("default/a").artifact_problem);
  EXPECT_THAT(Get("default/a").artifact_problem->message(), HasSubstr("out/dir/a.so is not there yet"));
  WriteFile(temp_ / "m/out/dir/a.so", "built");
  ASSERT_TRUE(Eventually([&] { return !Get("default/a").artifact_problem; }));
  EXPECT_EQ(Read(Get("default/a").artifact_path), "built");
}

TEST_F(LocalClusterTest, AModuleWrittenInPlaceIsTakenOnlyWhenItIsWhole) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  WriteFile(temp_ / "m/a.so", "old module");
  Start();
  const FunctionObject before = Get("default/a");
  {
    const int fd = ::open((temp_ / "m/a.so").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    ASSERT_EQ(::write(fd, "new", 3), 3);
    // Another file that changes makes the cluster look; what is half written must not be seen.
    WriteFile(temp_ / "m/b.yaml", ManifestText("b", "b.so"));
    ASSERT_TRUE(Eventually([&] { return Has("default/b"); }));
    EXPECT_EQ(Get("default/a").artifact_sha256, before.artifact_sha256);
    ASSERT_EQ(::write(fd, " module", 7), 7);
    ::close(fd);
  }
  ASSERT_TRUE(Eventually([&] { return Get("default/a").artifact_sha256 != before.artifact_sha256; }));
  EXPECT_EQ(Read(Get("default/a").artifact_path), "new module");
  EXPECT_EQ(Read(before.artifact_path), "old module");
}

TEST_F(LocalClusterTest, AModuleThatGoesLeavesTheLastOneWithAProblem) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "build/a.so"));
  WriteFile(temp_ / "m/build/a.so", "module");
  Start();
  fs::remove_all(temp_ / "m/build");
  ASSERT_TRUE(Eventually([&] { return Get("default/a").artifact_problem.has_value(); }));
  EXPECT_EQ(Read(Get("default/a").artifact_path), "module");
  WriteFile(temp_ / "m/build/a.so", "again");
  EXPECT_TRUE(Eventually([&] { return Read(Get("default/a").artifact_path) == "again"; }));
  EXPECT_FALSE(Get("default/a").artifact_problem);
}

TEST_F(LocalClusterTest, RefusesAModuleWhoseDigestIsNotTheManifests) {
  WriteFile(temp_ / "m/a.so", "module");
  WriteFile(temp_ / "m/a.yaml",
            absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: a}\nspec:\n"
                         "  artifact: {path: a.so, sha256: \"",
                         std::string(64, '0'), "\"}\n"));
  Start();
  ASSERT_TRUE(Get("default/a").artifact_problem);
  EXPECT_EQ(Get("default/a").artifact_problem->reason(), "DigestMismatch");
  EXPECT_EQ(Get("default/a").artifact_sha256, "");
}

TEST_F(LocalClusterTest, TellsOfEachFunctionThatExistsAndThenOfChanges) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  Start();
  std::mutex mutex;
  std::vector<std::string> heard;
  ASSERT_TRUE(cluster_
                  ->Watch([&](const std::string& function) {
                    const std::lock_guard lock(mutex);
                    heard.push_back(function);
                  })
                  .ok());
  const auto hears = [&](const std::string& function) {
    return Eventually([&] {
      const std::lock_guard lock(mutex);
      const std::vector<std::string> news = std::exchange(heard, {});
      return std::count(news.begin(), news.end(), function) > 0;
    });
  };
  EXPECT_TRUE(hears("default/a"));
  WriteFile(temp_ / "m/a.so", "module");
  EXPECT_TRUE(hears("default/a"));
  const absl::StatusOr<std::string> replica = cluster_->CreateReplica(*Get("default/a").function);
  ASSERT_TRUE(replica.ok());
  EXPECT_TRUE(hears("default/a"));
  fs::remove(temp_ / "m/a.yaml");
  EXPECT_TRUE(hears("default/a"));
  cluster_->Unwatch();
}

TEST_F(LocalClusterTest, ReadsSecretsAmongItsManifests) {
  const auto secret = [](const std::string& password) {
    return absl::StrCat(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: ", password, "}\n");
  };
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  Start();
  const auto missing = cluster_->GetSecret("default", "login");
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_THAT(std::string(missing.status().message()),
              HasSubstr("there is no Secret login in namespace default"));
  const std::uint64_t version = Get("default/a").secrets_version;
  WriteFile(temp_ / "m/login.yaml", secret("one"));
  ASSERT_TRUE(Eventually([&] { return cluster_->GetSecret("default", "login").ok(); }));
  EXPECT_EQ(cluster_->GetSecret("default", "login")->at("password"), "one");
  EXPECT_TRUE(absl::IsNotFound(cluster_->GetSecret("other", "login").status()));
  EXPECT_NE(Get("default/a").secrets_version, version);
  WriteFile(temp_ / "m/login.yaml", secret("two"));
  EXPECT_TRUE(Eventually([&] {
    const auto read = cluster_->GetSecret("default", "login");
    return read.ok() && read->at("password") == "two";
  }));
  WriteFile(temp_ / "m/again.yaml", secret("three"));
  EXPECT_TRUE(
      Eventually([&] { return absl::IsInvalidArgument(cluster_->GetSecret("default", "login").status()); }));
  fs::remove(temp_ / "m/again.yaml");
  fs::remove(temp_ / "m/login.yaml");
  EXPECT_TRUE(Eventually([&] { return absl::IsNotFound(cluster_->GetSecret("default", "login").status()); }));
}

TEST_F(LocalClusterTest, RunsReplicasAndKeepsWhatTheyWrite) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  Start();
  const absl::StatusOr<std::string> name = cluster_->CreateReplica(*Get("default/a").function);
  ASSERT_TRUE(name.ok());
  ASSERT_TRUE(Eventually([&] {
    const std::vector<Replica> replicas = cluster_->Replicas("default/a");
    return replicas.size() == 1 && replicas[0].name == *name && replicas[0].phase == ReplicaPhase::kRunning;
  }));
  ASSERT_TRUE(Eventually([&] { return !cluster_->log().Tail("default/a", 1).empty(); }));
  EXPECT_EQ(cluster_->log().Tail("default/a", 1).front().text, "runtime says hello");
  EXPECT_TRUE(cluster_->DeleteReplica(*name, seconds(5)).ok());
  EXPECT_THAT(cluster_->Replicas("default/a"), IsEmpty());
}

TEST_F(LocalClusterTest, RemembersTheStatusOfFunctionsThatExist) {
  WriteFile(temp_ / "m/a.yaml", ManifestText("a", "a.so"));
  Start();
  FunctionStatus status;
  status.desired_replicas = 4;
  EXPECT_TRUE(cluster_->WriteStatus("default/a", status).ok());
  EXPECT_EQ(cluster_->Status("default/a")->desired_replicas, 4);
  EXPECT_TRUE(absl::IsNotFound(cluster_->WriteStatus("default/nobody", status)));
  EXPECT_TRUE(absl::IsNotFound(cluster_->GetFunction("default/nobody").status()));
}

TEST_F(LocalClusterTest, HoldsThousandsOfFunctions) {
  constexpr int kFunctions = 2'000;
  WriteFile(temp_ / "m/shared.so", "module");
  for (int i = 0; i < kFunctions; ++i) {
    WriteFile(absl::StrCat(temp_ / "m/f", i, ".yaml"), ManifestText(absl::StrCat("f", i), "shared.so"));
  }
  Start();
  EXPECT_EQ(cluster_->Functions().size(), static_cast<std::size_t>(kFunctions));
  const auto before = std::chrono::steady_clock::now();
  WriteFile(temp_ / "m/f77.yaml", ManifestText("f77", "shared.so", 8));
  ASSERT_TRUE(Eventually([&] { return Get("default/f77").function->spec.concurrency == 8; }));
  EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(2));
}

}  // namespace
}  // namespace mayfly::op
