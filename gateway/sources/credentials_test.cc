#include "gateway/sources/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

v1::EventTrigger With(const std::map<std::string, std::string>& secret) {
  v1::EventTrigger trigger;
  trigger.set_secret_name("login");
  for (const auto& [key, value] : secret) (*trigger.mutable_secret())[key] = value;
  return trigger;
}

const std::vector<std::string_view> kTaken = {kUsername, kPassword, kCertificate, kKey};

std::string Refusal(const std::map<std::string, std::string>& secret) {
  return std::string(Credentials::Of(With(secret), kTaken).status().message());
}

TEST(Credentials, AreNoneWithoutASecret) {
  const auto none = Credentials::Of({}, kTaken);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->Has(kUsername));
  EXPECT_EQ(none->Get(kUsername), "");
}

TEST(Credentials, AreThoseThatTheKindUnderstands) {
  const auto read =
      Credentials::Of(With({{"username", "ada\n"}, {"password", "x y\r\n"}, {"token", "t"}}), kTaken);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->Get(kUsername), "ada");
  EXPECT_EQ(read->Get(kPassword), "x y");
  EXPECT_FALSE(read->Has(kToken));
}

TEST(Credentials, MayBeSeveralForRotation) {
  const auto read = Credentials::Of(With({{"secret", "new\nold\n"}}), {kSecret});
  ASSERT_TRUE(read.ok());
  EXPECT_THAT(read->Lines(kSecret), ElementsAre("new", "old"));
  EXPECT_THAT(read->Lines(kToken), IsEmpty());
}

TEST(Credentials, NameTheKeyThatIsMissing) {
  EXPECT_EQ(Refusal({{"pass", "pa55"}}),
            "Secret login has none of the keys username, password, tls.crt, tls.key: put the credentials "
            "under one");
  EXPECT_EQ(Refusal({{"username", "ada"}}),
            "Secret login has no key password, which belongs to its username");
  EXPECT_EQ(Refusal({{"tls.key", "k"}}), "Secret login has no key tls.crt, which belongs to its tls.key");
  EXPECT_THAT(Refusal({{"password", "pa55"}}), Not(HasSubstr("pa55")));
}

}  // namespace
}  // namespace mayfly::gateway
