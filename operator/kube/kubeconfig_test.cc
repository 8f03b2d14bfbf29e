#include "operator/kube/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/temp_dir.h"
#include "operator/kube/load_config.h"

namespace mayfly::kube {
namespace {

using base::TempDir;
using base::WriteFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kGood[] = R"(
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c
  cluster: {server: "https://10.0.0.1:6443/", certificate-authority-data: Q0E=, tls-server-name: api}
users:
- name: u
  user: {client-certificate: certs/u.crt, client-key: /etc/u.key}
- name: plugin
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: bin/login
      args: [--now]
      env: [{name: A, value: b}]
      installHint: get it
      interactiveMode: IfAvailable
contexts:
- name: one
  context: {cluster: c, user: u, namespace: photos}
- name: two
  context: {cluster: c, user: plugin}
)";

absl::StatusOr<Config> Parse(const std::string& text, const KubeconfigOptions& options = {}) {
  return ParseKubeconfig({{"/home/ada/config", text}}, options);
}

std::string Replace(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(Kubeconfig, ReadsTheCurrentContext) {
  const auto config = Parse(kGood);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://10.0.0.1:6443");
  EXPECT_EQ(config->authority.data, "CA");
  EXPECT_EQ(config->tls_server_name, "api");
  EXPECT_EQ(config->client_certificate.file, "/home/ada/certs/u.crt");
  EXPECT_EQ(config->client_key.file, "/etc/u.key");
  EXPECT_EQ(config->space, "photos");
}

TEST(Kubeconfig, ReadsTheContextThatIsAskedForAndItsPlugin) {
  const auto config = Parse(kGood, {.context = "two"});
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_TRUE(config->exec);
  EXPECT_EQ(config->exec->command, "/home/ada/bin/login");
  EXPECT_THAT(config->exec->arguments, ElementsAre("--now"));
  EXPECT_THAT(config->exec->environment, ElementsAre(std::pair<std::string, std::string>("A", "b")));
  EXPECT_EQ(config->space, "default");
}

TEST(Kubeconfig, NamesTheFileAndTheFieldOfEachMistake) {
  const std::vector<std::tuple<std::string, std::string, std::string>> rows = {
      {"Q0E=", "'*'", "clusters[c].cluster.certificate-authority-data: is not base64"},
      {"https://10.0.0.1:6443/", "", "clusters[c].cluster.server: is missing"},
      {"https://10.0.0.1:6443/", "ftp://x", "clusters[c].cluster.server: must begin with https://"},
      {"https://10.0.0.1:6443/", "http://10.0.0.1", "clusters[c].cluster.server: is http to another machine"},
      {"tls-server-name: api", "insecure-skip-tls-verify: true",
       "clusters[c].cluster.insecure-skip-tls-verify: is true, so that anyone"},
      {"tls-server-name: api", "insecure-skip-tls-verify: perhaps",
       "clusters[c].cluster.insecure-skip-tls-verify: must be true or false"},
      {", client-key: /etc/u.key", "", "users[u].user.client-key: is missing"},
      {"user: u,", "user: nobody,", "contexts[one].context.user: names no user: \"nobody\""},
      {"cluster: c, user: u", "cluster: d, user: u",
       "contexts[one].context.cluster: names no cluster: \"d\""},
      {"current-context: one", "current-context: three", "contexts: there is none named \"three\""},
      {"current-context: one", "", "current-context: is missing"},
      {"client-key: /etc/u.key", "client-key: [a]", "users[u].user.client-key: must be a text"},
      {"client-key: /etc/u.key", "client-key: /k, auth-provider: {name: gcp}",
       "users[u].user.auth-provider: is not"},
      {"users:\n", "users: {}\nothers:\n", "users: must be a list"},
      {"clusters:", "clusters: [", ": "},
  };
  for (const auto& [from, to, sentence] : rows) {
    const auto config = Parse(Replace(kGood, from, to));
    ASSERT_FALSE(config.ok()) << sentence;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr("/home/ada/config"));
    EXPECT_THAT(std::string(config.status().message()), HasSubstr(sentence));
  }
}

TEST(Kubeconfig, RefusesAPluginThatItCannotServe) {
  const KubeconfigOptions two{.context = "two"};
  EXPECT_THAT(std::string(Parse(Replace(kGood, "k8s.io/v1\n", "k8s.io/v1alpha1\n"), two).status().message()),
              HasSubstr("users[plugin].user.exec.apiVersion: must be client.authentication.k8s.io/v1"));
  EXPECT_THAT(std::string(Parse(Replace(kGood, "IfAvailable", "Always"), two).status().message()),
              HasSubstr("users[plugin].user.exec.interactiveMode: is Always"));
}

TEST(Kubeconfig, IsInsecureOnlyWhereThatIsAllowed) {
  const std::string text = Replace(Replace(kGood, "certificate-authority-data: Q0E=, ", ""),
                                   "tls-server-name: api", "insecure-skip-tls-verify: true");
  EXPECT_FALSE(Parse(text).ok());
  const auto config = Parse(text, {.context = "", .allow_insecure = true});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->insecure);
  EXPECT_TRUE(Parse(Replace(kGood, "https://10.0.0.1:6443/", "http://127.0.0.1:8001")).ok());
}

TEST(Kubeconfig, TakesEachNameFromTheFirstFileThatHasIt) {
  const std::string first = "users: [{name: u, user: {token: t}}]\n";
  const auto config = ParseKubeconfig({{"/a/first", first}, {"/b/second", kGood}}, {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->token, "t");
  EXPECT_TRUE(config->client_key.empty());
}

class LoadConfigTest : public ::testing::Test {
 protected:
  LoadOptions Options() {
    LoadOptions options;
    options.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::nullopt : std::optional(found->second);
    };
    options.service_account_folder = folder_ / "sa";
    return options;
  }

  TempDir folder_;
  std::map<std::string, std::string> environment_;
};

TEST_F(LoadConfigTest, ReadsThePodsServiceAccount) {
  environment_ = {{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}};
  WriteFile(folder_ / "sa/token", "t");
  WriteFile(folder_ / "sa/ca.crt", "CA");
  WriteFile(folder_ / "sa/namespace", "mayfly-system\n");
  const auto config = LoadConfig(Options());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://[fd00::1]:443");
  EXPECT_EQ(config->token_file, folder_ / "sa/token");
  EXPECT_EQ(config->authority.file, folder_ / "sa/ca.crt");
  EXPECT_EQ(config->space, "mayfly-system");
}

TEST_F(LoadConfigTest, PrefersTheNamedFileThenKubeconfigThenThePodThenHome) {
  WriteFile(folder_ / "home/.kube/config", Replace(kGood, "photos", "home"));
  WriteFile(folder_ / "a", Replace(kGood, "photos", "listed"));
  WriteFile(folder_ / "b", Replace(kGood, "photos", "named"));
  environment_ = {{"HOME", folder_ / "home"}};
  EXPECT_EQ(LoadConfig(Options())->space, "home");
  environment_["KUBECONFIG"] = folder_ / "missing" + ":" + (folder_ / "a");
  EXPECT_EQ(LoadConfig(Options())->space, "listed");
  LoadOptions options = Options();
  options.file = folder_ / "b";
  EXPECT_EQ(LoadConfig(options)->space, "named");
}

TEST_F(LoadConfigTest, SaysWhereItLooked) {
  environment_ = {{"HOME", folder_.path()}};
  EXPECT_THAT(std::string(LoadConfig(Options()).status().message()), HasSubstr("KUBECONFIG is not set"));
  environment_["KUBECONFIG"] = "/nowhere";
  EXPECT_THAT(std::string(LoadConfig(Options()).status().message()), HasSubstr("/nowhere"));
}

}  // namespace
}  // namespace mayfly::kube
