// What the API server says of a Secret, as the operator takes it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/testing/fake_transport.h"
#include "operator/pods/kubernetes_cluster.h"

namespace mayfly::op {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class SecretsTest : public testing::Test {
 protected:
  absl::StatusOr<SecretData> Get(int code, const std::string& body) {
    transport_.ThenAnswer(code, body);
    kube::Client client(transport_, metrics_, clock_);
    kube::EventRecorder events(client, {});
    return KubernetesCluster(client, events, {}).GetSecret("shop", "login");
  }

  kube::testing::FakeTransport transport_;
  base::Metrics metrics_;
  base::RealClock clock_;
};

TEST_F(SecretsTest, AreReadByTheirName) {
  const auto data = Get(200, R"({"kind":"Secret","data":{"username":"YWRh","password":"AAE=","empty":""}})");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(*data, ElementsAre(Pair("empty", ""), Pair("password", std::string("\0\1", 2)),
                                 Pair("username", "ada")));
  EXPECT_EQ(transport_.requests().at(0).method, "GET");
  EXPECT_EQ(transport_.requests().at(0).target, "/api/v1/namespaces/shop/secrets/login");
}

TEST_F(SecretsTest, ThatAreNotThereSayHowToMakeThem) {
  const absl::Status status =
      Get(404, R"({"kind":"Status","reason":"NotFound","message":"not found"})").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr(
          "there is no Secret login in namespace shop: make it with `kubectl create secret generic login"));
}

TEST_F(SecretsTest, ThatMayNotBeReadNameTheSwitch) {
  const absl::Status status = Get(403, R"({"kind":"Status","reason":"Forbidden","message":"no"})").status();
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("operator.readSecrets=true"));
}

TEST_F(SecretsTest, AreUnknownWhileTheServerIsAway) {
  const absl::Status status = Get(500, "no").status();
  EXPECT_FALSE(absl::IsNotFound(status) || absl::IsPermissionDenied(status) ||
               absl::IsInvalidArgument(status))
      << status;
}

}  // namespace
}  // namespace mayfly::op
