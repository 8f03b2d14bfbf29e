#include "operator/reconcilers/pull_secrets.h"

#include <gmock/gmock.h>

#include "operator/controller/testing/fake_cluster.h"

namespace mayfly::op {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::ModuleImage Image(const std::string& reference) {
  v1::ModuleImage image;
  image.set_reference(reference);
  return image;
}

// "USERNAME:PASSWORD" of each login that a docker config gives for `reference`.
std::vector<std::string> Logins(const std::string& reference, const std::string& auths) {
  v1::ModuleImage image = Image(reference);
  AddLogins({{".dockerconfigjson", R"({"auths":{)" + auths + "}}"}}, &image);
  std::vector<std::string> logins;
  for (const v1::RegistryLogin& login : image.logins())
    logins.push_back(login.username() + ":" + login.password());
  return logins;
}

TEST(PullSecrets, AreReadAsDockerLoginWritesThem) {
  EXPECT_THAT(Logins("r.example.com/a:1", R"("r.example.com":{"auth":"YWRhOnM6Mw=="})"),
              ElementsAre("ada:s:3"));
  EXPECT_THAT(Logins("r.example.com/a:1", R"("https://r.example.com/v1/":{"username":"ada","password":"s"})"),
              ElementsAre("ada:s"));
  EXPECT_THAT(Logins("ada/hello", R"("https://index.docker.io/v1/":{"auth":"YWRhOnM="})"),
              ElementsAre("ada:s"));
  v1::ModuleImage image = Image("r:5000/a");
  EXPECT_EQ(AddLogins({{".dockercfg", R"({"r:5000":{"username":"ada","password":"s"}})"}}, &image), "");
  EXPECT_EQ(image.logins(0).password(), "s");
  image = Image("r.example.com/a");
  EXPECT_EQ(AddLogins({{".dockerconfigjson",
                        R"({"auths":{"r.example.com":{"identitytoken":"i","registrytoken":"t"}}})"}},
                      &image),
            "");
  EXPECT_EQ(image.logins(0).identity_token(), "i");
  EXPECT_EQ(image.logins(0).registry_token(), "t");
}

TEST(PullSecrets, GiveTheLoginsForThisImageAloneTheClosestFirst) {
  const std::string auths = R"("r.example.com":{"username":"all","password":"1"},)"
                            R"("r.example.com/tools":{"username":"tools","password":"2"},)"
                            R"("r.example.com/too":{"username":"too","password":"3"},)"
                            R"("*.example.com":{"username":"any","password":"4"},)"
                            R"("r.example.com:5000":{"username":"port","password":"5"},)"
                            R"("other.example.org":{"username":"other","password":"6"})";
  EXPECT_THAT(Logins("r.example.com/tools/a:1", auths), ElementsAre("tools:2", "all:1", "any:4"));
  EXPECT_THAT(Logins("s.example.com/a", auths), ElementsAre("any:4"));
  EXPECT_THAT(Logins("a.b.example.com/a", auths), IsEmpty());
  EXPECT_THAT(Logins("r.example.com:5000/a", auths), ElementsAre("port:5"));
}

TEST(PullSecrets, SayWhatIsWrongWithThem) {
  v1::ModuleImage image = Image("r.example.com/a");
  EXPECT_THAT(AddLogins({{"token", "t"}}, &image), HasSubstr("has neither .dockerconfigjson nor .dockercfg"));
  EXPECT_THAT(AddLogins({{".dockerconfigjson", "no"}}, &image),
              HasSubstr("is not what `docker login` writes"));
  EXPECT_THAT(AddLogins({{".dockerconfigjson", R"({"auths":[]})"}}, &image), HasSubstr("is not what"));
  EXPECT_THAT(AddLogins({{".dockerconfigjson", R"({"auths":{"r.example.com":1}})"}}, &image),
              HasSubstr("has no login for r.example.com"));
  EXPECT_EQ(image.logins_size(), 0);
}

class ReadPullSecretsTest : public testing::Test {
 protected:
  ReadPullSecretsTest() { function_.spec.image_pull_secrets = {"a", "b"}; }

  FakeCluster cluster_;
  Function function_;
};

TEST_F(ReadPullSecretsTest, TakesAllThatTheFunctionNames) {
  cluster_.SetSecret("a",
                     {{".dockerconfigjson", R"({"auths":{"r.example.com":{"username":"a","password":"1"}}})"},
                      {"ca.crt", "PEM"}});
  cluster_.SetSecret(
      "b", {{".dockerconfigjson", R"({"auths":{"r.example.com":{"username":"b","password":"2"}}})"}});
  const auto secrets = ReadPullSecrets(cluster_, function_, Image("r.example.com/a"));
  ASSERT_TRUE(secrets.ok()) << secrets.status();
  EXPECT_EQ(secrets->image.logins_size(), 2);
  EXPECT_EQ(secrets->image.ca_certificates(), "PEM\n");
  EXPECT_EQ(secrets->left_out, "");
}

TEST_F(ReadPullSecretsTest, LeavesOutWhatIsNotThereAndSaysSo) {
  cluster_.SetSecret("b", {{".dockerconfigjson", "{}"}});
  const auto secrets = ReadPullSecrets(cluster_, function_, Image("r.example.com/a"));
  ASSERT_TRUE(secrets.ok()) << secrets.status();
  EXPECT_THAT(secrets->left_out,
              HasSubstr("there is no Secret a in namespace default: make it with `kubectl create "
                        "secret docker-registry a"));
  EXPECT_THAT(secrets->left_out, HasSubstr("; Secret b has a .dockerconfigjson"));
}

TEST_F(ReadPullSecretsTest, GuessesNothingWhileTheClusterDoesNotAnswer) {
  cluster_.FailWith([](const std::string& call) {
    return call == "GetSecret" ? absl::UnavailableError("no answer") : absl::OkStatus();
  });
  const auto secrets = ReadPullSecrets(cluster_, function_, Image("r.example.com/a"));
  EXPECT_TRUE(absl::IsUnavailable(secrets.status()));
  EXPECT_THAT(secrets.status().message(), HasSubstr("Secret a of spec.imagePullSecrets"));
}

}  // namespace
}  // namespace mayfly::op
