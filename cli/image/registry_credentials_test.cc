#include "cli/image/registry_credentials.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/testing/temp_dir.h"

namespace mayfly::cli {
namespace {

class RegistryCredentialsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("REGISTRY_AUTH_FILE");
    ::unsetenv("XDG_RUNTIME_DIR");
    ::setenv("DOCKER_CONFIG", folder_.path().c_str(), 1);
  }
  void Write(const std::string& config) { base::WriteFile(folder_ / "config.json", config); }

  base::TempDir folder_;
};

TEST_F(RegistryCredentialsTest, AreThoseOfTheHostThatSomebodyLoggedInAt) {
  Write(R"({"auths": {"r.example.com": {"auth": "YWRhOnNlOmNyZXQ="}}})");
  const auto found = FindRegistryCredentials("r.example.com");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->user, "ada");
  EXPECT_EQ(found->password, "se:cret");
  EXPECT_FALSE(FindRegistryCredentials("other.example.com"));
}

TEST_F(RegistryCredentialsTest, KnowDockerHubByItsOldName) {
  Write(R"({"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}}})");
  EXPECT_TRUE(FindRegistryCredentials("docker.io"));
}

TEST_F(RegistryCredentialsTest, AreNoneInAFileThatIsBroken) {
  for (const char* text :
       {"", "[]", "{", R"({"auths": 1})", R"({"auths": {"h": 1}})", R"({"auths": {"h": {"auth": "%"}}})",
        R"({"auths": {"h": {"auth": "YQ=="}}})", R"({"credsStore": "../evil"})"}) {
    Write(text);
    EXPECT_FALSE(FindRegistryCredentials("h")) << text;
  }
}

TEST_F(RegistryCredentialsTest, ComeFromTheHelperThatTheFileNames) {
  const std::string helper = folder_ / "docker-credential-test";
  base::WriteFile(helper,
                  "#!/bin/sh\nread host\n[ \"$1 $host\" = 'get r.example.com' ] && "
                  "echo '{\"Username\": \"ada\", \"Secret\": \"s\"}'\n");
  ::chmod(helper.c_str(), 0700);
  const std::string path = std::string(::getenv("PATH")) + ":" + folder_.path();
  ::setenv("PATH", path.c_str(), 1);
  Write(R"({"credHelpers": {"r.example.com": "test"}})");
  const auto found = FindRegistryCredentials("r.example.com");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->password, "s");
  EXPECT_FALSE(FindRegistryCredentials("other.example.com"));
}

}  // namespace
}  // namespace mayfly::cli
