// Secrets of a real API server, with the rights that the chart gives.
#include "operator/pki/kube_secret_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/testing/live_cluster.h"

namespace mayfly::op {
namespace {

class KubeSecretStoreLiveTest : public kube::testing::LiveClusterTest {};

TEST_F(KubeSecretStoreLiveTest, KeepsWhatItIsGiven) {
  kube::EventRecorder events(client(), {});
  KubeSecretStore store(client(), events);
  const SecretName name{space_, "leaf"};
  EXPECT_TRUE(absl::IsNotFound(store.Get(name).status()));
  ASSERT_TRUE(
      client()
          .Create(kube::Secrets(), space_, R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"ca"}})")
          .ok());
  const auto owner = store.Get({space_, "ca"});
  ASSERT_TRUE(owner.ok()) << owner.status();
  EXPECT_TRUE(owner->data.empty());
  const absl::Status put =
      store.Put(name, {{"tls.crt", "c\n"}, {"tls.key", "k"}, {"ca.crt", "a"}}, {space_, "ca"}, owner->uid);
  ASSERT_TRUE(put.ok()) << put;
  EXPECT_EQ(store.Get(name)->data["tls.crt"], "c\n");

  const absl::Status replaced = store.Replace({space_, "ca"}, {{"ca.key", "secret"}}, owner->version);
  ASSERT_TRUE(replaced.ok()) << replaced;
  EXPECT_TRUE(absl::IsAborted(store.Replace({space_, "ca"}, {{"ca.key", "other"}}, owner->version)));
  EXPECT_EQ(store.Get({space_, "ca"})->data["ca.key"], "secret");

  EXPECT_TRUE(store.Delete(name).ok());
  EXPECT_TRUE(store.Delete(name).ok()) << "it is gone already";
}

}  // namespace
}  // namespace mayfly::op
