#include "operator/kube/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/testing/temp_dir.h"

namespace mayfly::kube {
namespace {

using base::TempDir;
using base::WriteFile;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CredentialsTest : public ::testing::Test {
 protected:
  base::MonotonicTime Soon() const { return std::chrono::steady_clock::now() + seconds(20); }

  std::string Script(const std::string& name, const std::string& text) {
    const std::string path = folder_ / name;
    WriteFile(path, "#!/bin/sh\n" + text);
    ::chmod(path.c_str(), 0755);
    return path;
  }

  // A plugin that counts its runs in the token.
  Config PluginConfig(const std::string& more) {
    Config config;
    config.origin = "kubeconfig";
    config.exec.emplace();
    config.exec->api_version = "client.authentication.k8s.io/v1";
    config.exec->command =
        Script("plugin",
               "echo x >>" + (folder_ / "runs") + "; n=$(wc -l <" + (folder_ / "runs") +
                   ")\necho '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\","
                   "\"status\":{\"token\":\"'run$n'\"" +
                   more + "}}'\n");
    return config;
  }

  TempDir folder_;
  base::FakeClock clock_;
};

TEST_F(CredentialsTest, ReadsARotatedTokenAgainWithinAMinute) {
  WriteFile(folder_ / "token", "first\n");
  Config config;
  config.token_file = folder_ / "token";
  Credentials credentials(config, clock_);
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer first"));
  WriteFile(folder_ / "token", "second\n");
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer first"));
  clock_.Advance(seconds(59));
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer second"));
}

TEST_F(CredentialsTest, ReadsARefusedTokenAgainAtOnce) {
  WriteFile(folder_ / "token", "first");
  Config config;
  config.token_file = folder_ / "token";
  Credentials credentials(config, clock_);
  const auto refused = *credentials.Current(Soon());
  WriteFile(folder_ / "token", "second");
  credentials.Invalidate(refused);
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer second"));
  WriteFile(folder_ / "token", "third");
  credentials.Invalidate(refused);  // of a caller that was slow to hear of it
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer second"));
}

TEST_F(CredentialsTest, UsesTheLastGoodTokenWhileTheFileIsAway) {
  WriteFile(folder_ / "token", "first");
  Config config;
  config.token_file = folder_ / "token";
  Credentials credentials(config, clock_);
  ASSERT_TRUE(credentials.Current(Soon()).ok());
  WriteFile(folder_ / "token", "");
  clock_.Advance(seconds(60));
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer first"));
}

TEST_F(CredentialsTest, NamesTheFileThatItNeverCouldRead) {
  Config config;
  config.origin = "kubeconfig";
  config.client_key.file = folder_ / "u.key";
  Credentials credentials(config, clock_);
  EXPECT_THAT(std::string(credentials.Current(Soon()).status().message()),
              HasSubstr("kubeconfig: client-key: " + (folder_ / "u.key")));
}

TEST_F(CredentialsTest, RunsAPluginOnceUntilTheServerRefusesWhatItGave) {
  Credentials credentials(PluginConfig(""), clock_);
  const auto first = credentials.Current(Soon());
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT((*first)->headers, ElementsAre("Authorization: Bearer run1"));
  clock_.Advance(seconds(3600));
  EXPECT_EQ(*credentials.Current(Soon()), *first);
  credentials.Invalidate(*first);
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer run2"));
}

TEST_F(CredentialsTest, RunsAPluginAgainBeforeWhatItGaveExpires) {
  Credentials credentials(PluginConfig(R"(,"expirationTimestamp":"2001-01-01T00:00:00Z")"), clock_);
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer run1"));
  EXPECT_THAT((*credentials.Current(Soon()))->headers, ElementsAre("Authorization: Bearer run2"));
}

TEST_F(CredentialsTest, TellsWhatAPluginSaidThatFailed) {
  Config config = PluginConfig("");
  config.exec->command = Script("bad", "echo 'no such profile' >&2; exit 3\n");
  EXPECT_THAT(std::string(Credentials(config, clock_).Current(Soon()).status().message()),
              HasSubstr("ended with exit code 3: no such profile"));
  config.exec->command = "mayfly-no-such-plugin";
  config.exec->install_hint = "Install it with apt.";
  EXPECT_THAT(std::string(Credentials(config, clock_).Current(Soon()).status().message()),
              HasSubstr("No such file or directory. Install it with apt."));
  config.exec->command = Script("mute", "true\n");
  EXPECT_THAT(std::string(Credentials(config, clock_).Current(Soon()).status().message()),
              HasSubstr("mute printed: no JSON"));
}

TEST_F(CredentialsTest, KillsAPluginThatHangsAndWhatItStarted) {
  Config config = PluginConfig("");
  config.exec->command = Script("hangs", "sleep 1000 & sleep 1000\n");
  const auto begin = std::chrono::steady_clock::now();
  const absl::Status status =
      Credentials(config, clock_).Current(begin + std::chrono::milliseconds(200)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
}

TEST(ExecCredential, SaysWhatIsWrongWithWhatAPluginPrinted) {
  const std::string v1 = "client.authentication.k8s.io/v1";
  const std::string head =
      R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":)";
  const auto message = [&v1](const std::string& text) {
    return std::string(ParseExecCredential(text, v1).status().message());
  };
  EXPECT_THAT(message("{}"), HasSubstr("kind: must be ExecCredential"));
  EXPECT_THAT(message(R"({"kind":"ExecCredential","apiVersion":"other"})"), HasSubstr("apiVersion: must be"));
  EXPECT_THAT(message(head + "{}}"), HasSubstr("neither a token nor a client certificate"));
  EXPECT_THAT(message(head + R"({"clientKeyData":"k"}})"), HasSubstr("must both be there"));
  EXPECT_THAT(message(head + R"({"token":"a\r\nX: y"}})"), HasSubstr("status.token"));
  EXPECT_THAT(message(head + R"({"token":"a","expirationTimestamp":"soon"}})"), HasSubstr("RFC 3339"));
  EXPECT_TRUE(ParseExecCredential(head + R"({"clientCertificateData":"c","clientKeyData":"k"}})", v1).ok());
}

}  // namespace
}  // namespace mayfly::kube
