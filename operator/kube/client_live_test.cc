// The client against a real API server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/testing/temp_dir.h"
#include "operator/kube/api_error.h"
#include "operator/kube/list.h"
#include "operator/kube/testing/live_cluster.h"

namespace mayfly::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ClientLiveTest : public testing::LiveClusterTest {
 protected:
  static std::string ReasonOf(const absl::Status& status) {
    const auto error = ApiErrorOf(status);
    return error ? error->reason : "no answer of the server: " + status.ToString();
  }

  static constexpr char kReplicationController[] = R"({"apiVersion":"v1","kind":"ReplicationController",
    "metadata":{"name":"rc"},"spec":{"replicas":1,"selector":{"a":"b"},"template":{
      "metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
  inline static const Resource kReplicationControllers{"", "v1", "replicationcontrollers",
                                                       "ReplicationController"};
};

TEST_F(ClientLiveTest, CreatesReadsPatchesReplacesAndDeletes) {
  auto made = client().Create(ConfigMaps(), space_, ConfigMapJson("a"));
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string uid(made->root()["metadata"]["uid"].Text());
  EXPECT_THAT(uid, Not(IsEmpty()));

  auto merged = client().Patch(ConfigMaps(), Named("a"), PatchType::kMerge, R"({"data":{"x":"1","k":null}})");
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->root()["data"].ToJson(), R"({"x":"1"})");
  auto patched = client().Patch(ConfigMaps(), Named("a"), PatchType::kJson,
                                R"([{"op":"replace","path":"/data/x","value":"2"}])");
  ASSERT_TRUE(patched.ok()) << patched.status();

  json object = json::parse(client().Get(ConfigMaps(), Named("a"))->root().ToJson());
  EXPECT_EQ(object["data"]["x"], "2");
  object["data"]["x"] = "3";
  ASSERT_TRUE(client().Replace(ConfigMaps(), Named("a"), object.dump()).ok());
  // The version in `object` is not the newest any more.
  EXPECT_EQ(ReasonOf(client().Replace(ConfigMaps(), Named("a"), object.dump()).status()), "Conflict");

  EXPECT_EQ(ReasonOf(client().Delete(ConfigMaps(), Named("a"), {.uid = "another"})), "Conflict");
  EXPECT_TRUE(client().Delete(ConfigMaps(), Named("a"), {.uid = uid, .propagation = "Background"}).ok());
  EXPECT_TRUE(absl::IsNotFound(client().Get(ConfigMaps(), Named("a")).status()));
  EXPECT_TRUE(absl::IsNotFound(client().Delete(ConfigMaps(), Named("a"))));
}

TEST_F(ClientLiveTest, AppliesItsOwnFieldsAndLeavesThoseOfOthers) {
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("a", "theirs")).ok());
  const std::string ours =
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"ours":"1"}})";
  auto applied = client().Apply(ConfigMaps(), Named("a"), ours, {.field_manager = "mayfly"});
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(applied->root()["data"]["k"].Text(), "theirs");
  const std::string version(applied->root()["metadata"]["resourceVersion"].Text());
  // Applying the same again writes nothing.
  EXPECT_EQ(client()
                .Apply(ConfigMaps(), Named("a"), ours, {.field_manager = "mayfly"})
                ->root()["metadata"]["resourceVersion"]
                .Text(),
            version);
  EXPECT_EQ(ReasonOf(client()
                         .Apply(ConfigMaps(), Named("a"), ConfigMapJson("a", "mine"),
                                {.field_manager = "other", .force = false})
                         .status()),
            "Conflict");
  EXPECT_TRUE(
      client().Apply(ConfigMaps(), Named("a"), ConfigMapJson("a", "mine"), {.field_manager = "other"}).ok());
}

TEST_F(ClientLiveTest, WritesStatusAndScale) {
  ASSERT_TRUE(client().Create(kReplicationControllers, space_, kReplicationController).ok());
  ASSERT_TRUE(client()
                  .Patch(kReplicationControllers, Named("rc", "status"), PatchType::kMerge,
                         R"({"status":{"replicas":3},"spec":{"replicas":9}})")
                  .ok());
  auto scale = client().Get(kReplicationControllers, Named("rc", "scale"));
  ASSERT_TRUE(scale.ok()) << scale.status();
  EXPECT_EQ(scale->root()["spec"]["replicas"].Integer(), 1);
  EXPECT_EQ(scale->root()["status"]["replicas"].Integer(), 3);
  ASSERT_TRUE(client()
                  .Patch(kReplicationControllers, Named("rc", "scale"), PatchType::kMerge,
                         R"({"spec":{"replicas":5}})")
                  .ok());
  EXPECT_EQ(client().Get(kReplicationControllers, Named("rc"))->root()["spec"]["replicas"].Integer(), 5);
}

TEST_F(ClientLiveTest, SaysWithTheServersWordsWhatIsWrong) {
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("a")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(client().Create(ConfigMaps(), space_, ConfigMapJson("a")).status()));

  const absl::Status invalid = client().Create(ConfigMaps(), space_, ConfigMapJson("Not_A_Name")).status();
  EXPECT_EQ(invalid.code(), absl::StatusCode::kInvalidArgument);
  const auto error = ApiErrorOf(invalid);
  ASSERT_TRUE(error);
  ASSERT_FALSE(error->causes.empty());
  EXPECT_EQ(error->causes[0].field, "metadata.name");
  EXPECT_EQ(error->causes[0].reason, "FieldValueInvalid");

  EXPECT_EQ(ReasonOf(client().Create(ConfigMaps(), space_, "{nonsense").status()), "BadRequest");
  const Resource unknown{"mayfly.dev", "v9", "nothings", "Nothing"};
  EXPECT_TRUE(absl::IsNotFound(client().List(unknown, "", {}).status()));
}

TEST_F(ClientLiveTest, NamesTheVerbAndTheResourceThatAreForbidden) {
  Config config = AdminConfig();
  config.impersonate_user = "ada";
  testing::LiveClient ada(config);
  const absl::Status status = ada->List(Pods(), space_, {}).status();
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("User \"ada\" cannot list resource \"pods\""));
}

TEST_F(ClientLiveTest, IsUnauthorizedWithATokenThatNobodyIssued) {
  Config config = AdminConfig();
  config.client_certificate = {};
  config.client_key = {};
  config.token = "nonsense";
  EXPECT_EQ(testing::LiveClient(config)->List(Pods(), "", {}).status().code(),
            absl::StatusCode::kUnauthenticated);
}

TEST_F(ClientLiveTest, UsesATokenAsAPodDoesAndTheRenewedOneOnceItIsRefused) {
  ASSERT_TRUE(client()
                  .Create({"", "v1", "serviceaccounts", "ServiceAccount"}, space_,
                          R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"op"}})")
                  .ok());
  // The token subresource is written, not patched: its path ends a collection's.
  const Resource tokens{"", "v1", "serviceaccounts/op/token", "TokenRequest"};
  const auto token = client().Create(
      tokens, space_, R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}})");
  ASSERT_TRUE(token.ok()) << token.status();

  base::TempDir folder;
  base::WriteFile(folder / "token", "stale");
  base::WriteFile(folder / "ca.crt", AdminConfig().authority.data);
  Config config;
  config.origin = "in-cluster";
  config.server = AdminConfig().server;
  config.token_file = folder / "token";
  config.authority.file = folder / "ca.crt";
  testing::LiveClient pod(config);
  EXPECT_EQ(pod->List(Pods(), space_, {}).status().code(), absl::StatusCode::kUnauthenticated);
  base::WriteFile(folder / "token", std::string(token->root()["status"]["token"].Text()));
  const absl::Status forbidden = pod->List(Pods(), space_, {}).status();
  EXPECT_TRUE(absl::IsPermissionDenied(forbidden)) << forbidden;
  EXPECT_THAT(std::string(forbidden.message()), HasSubstr("system:serviceaccount:" + space_ + ":op"));
}

TEST_F(ClientLiveTest, TrustsNoServerOfAnotherAuthority) {
  base::TempDir folder;
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other "
      "-keyout " +
      (folder / "key") + " -out " + (folder / "crt") + " 2>/dev/null";
  ASSERT_EQ(std::system(make.c_str()), 0);
  Config config = AdminConfig();
  config.authority = {.data = "", .file = folder / "crt"};
  const absl::Status status = testing::LiveClient(config)->List(Pods(), "", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
  config = AdminConfig();
  config.authority = {};  // the machine's own authorities do not know it either
  EXPECT_EQ(testing::LiveClient(config)->List(Pods(), "", {}).status().code(),
            absl::StatusCode::kUnauthenticated);
  config = AdminConfig();
  config.tls_server_name = "localhost";
  EXPECT_TRUE(testing::LiveClient(config)->List(Pods(), "", {}).ok());
  config.tls_server_name = "example.com";
  EXPECT_EQ(testing::LiveClient(config)->List(Pods(), "", {}).status().code(),
            absl::StatusCode::kUnauthenticated);
}

TEST_F(ClientLiveTest, ReadsAListInPagesAlsoWhenTheServerForgetsItsBeginning) {
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("c" + std::to_string(i))).ok());
  }
  int restarts = 0;
  std::set<std::string> names;
  bool compacted = false;
  const auto version = ListAll(
      client(), ConfigMaps(), space_, {.limit = 10},
      [&] {
        ++restarts;
        names.clear();
      },
      [&](JsonView item) {
        names.emplace(item["metadata"]["name"].Text());
        if (compacted) return;
        compacted = true;
        EXPECT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("late")).ok());
        // etcd forgets, and so does the cache in which the server keeps what it began to list.
        EXPECT_TRUE(server_->Command("compact").ok());
        EXPECT_TRUE(server_->Command("kill kube-apiserver").ok());
        EXPECT_TRUE(server_->Command("start kube-apiserver").ok());
      });
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(restarts, 1);
  EXPECT_EQ(names.size(), 26u);
}

TEST_F(ClientLiveTest, WatchesFromAVersionOnAndEndsWhenTheServerSaysSo) {
  const auto page = client().List(ConfigMaps(), space_, {});
  ASSERT_TRUE(page.ok());
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("a")).ok());
  ASSERT_TRUE(client().Delete(ConfigMaps(), Named("a")).ok());
  std::vector<WatchEvent::Type> types;
  const absl::Status status = client().Watch(
      ConfigMaps(), space_, {.resource_version = page->resource_version, .timeout = seconds(2)},
      [&types](const WatchEvent& event) {
        if (event.type != WatchEvent::Type::kBookmark) types.push_back(event.type);
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(types, ::testing::ElementsAre(WatchEvent::Type::kAdded, WatchEvent::Type::kDeleted));
}

TEST_F(ClientLiveTest, EndsAHangingWatchAtOnceWhenToldFromAnotherThread) {
  const auto page = client().List(ConfigMaps(), space_, {});
  ASSERT_TRUE(page.ok());
  std::stop_source stop;
  std::atomic<bool> ended = false;
  absl::Status status;
  std::jthread watcher([&] {
    status = client().Watch(ConfigMaps(), space_, {.resource_version = page->resource_version},
                            [](const WatchEvent&) {}, {.stop = stop.get_token()});
    ended = true;
  });
  EXPECT_FALSE(Eventually([&ended] { return ended.load(); }, milliseconds(300)));
  const auto begin = std::chrono::steady_clock::now();
  stop.request_stop();
  watcher.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(50));
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST_F(ClientLiveTest, KeepsItsDeadlineWhileTheServerIsFrozen) {
  ASSERT_TRUE(client().List(ConfigMaps(), space_, {}).ok());
  ASSERT_TRUE(server_->Command("freeze kube-apiserver").ok());
  const auto begin = std::chrono::steady_clock::now();
  const absl::Status kept = client().List(ConfigMaps(), space_, {}, {.timeout = milliseconds(300)}).status();
  const absl::Status anew = testing::LiveClient(AdminConfig())
                                ->List(ConfigMaps(), space_, {}, {.timeout = milliseconds(300)})
                                .status();
  const auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(server_->Command("thaw kube-apiserver").ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(kept)) << kept;
  EXPECT_TRUE(absl::IsDeadlineExceeded(anew)) << anew;
  EXPECT_GE(took, milliseconds(600));
  EXPECT_LT(took, milliseconds(900));
  EXPECT_TRUE(client().List(ConfigMaps(), space_, {}).ok());
}

TEST_F(ClientLiveTest, GivesUpAWatchThatIsSilentForTooLong) {
  const auto page = client().List(ConfigMaps(), space_, {});
  ASSERT_TRUE(page.ok());
  const absl::Status status = client().Watch(
      ConfigMaps(), space_, {.resource_version = page->resource_version, .idle_timeout = milliseconds(200)},
      [](const WatchEvent&) {});
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("nothing came for too long"));
}

TEST_F(ClientLiveTest, GoesOnOverNewConnectionsWhenTheServerWasKilled) {
  ASSERT_TRUE(client().List(ConfigMaps(), space_, {}).ok());
  ASSERT_TRUE(server_->Command("kill kube-apiserver").ok());
  EXPECT_TRUE(absl::IsUnavailable(client().List(ConfigMaps(), space_, {}).status()));
  ASSERT_TRUE(server_->Command("start kube-apiserver").ok());
  EXPECT_TRUE(client().List(ConfigMaps(), space_, {}).ok());
}

}  // namespace
}  // namespace mayfly::kube
