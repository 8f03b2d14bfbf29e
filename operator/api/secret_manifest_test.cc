#include "operator/api/secret_manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/manifest.h"

namespace mayfly::op {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::SizeIs;

TEST(SecretManifest, IsReadAsKubectlReadsIt) {
  const auto secrets = ReadSecrets(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: shop}\ntype: Opaque\n"
      "data: {password: b2xk, ca.crt: |\n  YQ==\n  }\nstringData: {password: new, username: ada}\n");
  ASSERT_THAT(secrets, IsEmpty()) << "a block within braces is no YAML";
  const auto right = ReadSecrets(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: shop}\ntype: Opaque\n"
      "data:\n  password: b2xk\n  ca.crt: |\n    Y2Vy\n    dA==\nstringData: {password: new, username: ada}\n"
      "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n");
  ASSERT_THAT(right, SizeIs(1));
  EXPECT_EQ(right[0].name, "login");
  EXPECT_EQ(right[0].space, "shop");
  EXPECT_THAT(right[0].data,
              ElementsAre(Pair("ca.crt", "cert"), Pair("password", "new"), Pair("username", "ada")));
}

TEST(SecretManifest, SaysWhatIsWrongWithoutAValue) {
  const auto secrets =
      ReadSecrets("apiVersion: v1\nkind: Secret\nmetadata: {name: login}\ndata: {password: pa55w!}\n");
  ASSERT_THAT(secrets, SizeIs(1));
  EXPECT_EQ(secrets[0].problem, "data[\"password\"] is not base64; stringData takes plain text");
  EXPECT_THAT(secrets[0].data, IsEmpty());
  EXPECT_THAT(
      ReadSecrets("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {b: [pa55w]}\n")[0].problem,
      Not(HasSubstr("pa55w")));
}

TEST(SecretManifest, IsNoMistakeInAFileOfFunctions) {
  const Manifest manifest = ParseManifest(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: x}\n---\n"
      "apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: a}\nspec: {artifact: {path: "
      "a.so}}\n",
      "f.yaml");
  EXPECT_TRUE(manifest.ok());
  ASSERT_THAT(manifest.documents, SizeIs(1));
  EXPECT_EQ(manifest.documents[0].key, "default/a");
}

}  // namespace
}  // namespace mayfly::op
