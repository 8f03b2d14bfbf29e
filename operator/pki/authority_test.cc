#include "operator/pki/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class AuthorityTest : public testing::Test {
 protected:
  AuthorityTest() { authority_.signs = *tls::MakeAuthority(begin_, rules_.life); }

  std::optional<Authority> Step(base::WallTime now, std::optional<base::WallTime> settled = {},
                                const std::string& wish = "") {
    const auto next = NextStep(authority_, rules_, wish, settled, now);
    EXPECT_TRUE(next.ok()) << next.status();
    return *next;
  }

  const AuthorityRules rules_{.life = 3000h, .spread = 300s};
  const base::WallTime begin_ = std::chrono::system_clock::from_time_t(1'790'000'000);
  Authority authority_;
};

TEST_F(AuthorityTest, StaysForTwoThirdsOfItsLife) {
  EXPECT_FALSE(Step(begin_ + 1h, begin_));
  EXPECT_FALSE(Step(begin_ + 1990h, begin_));
  EXPECT_TRUE(Step(begin_ + 2001h, begin_));
}

TEST_F(AuthorityTest, IsFollowedByOneThatIsTrustedBeforeItSigns) {
  const Authority first = authority_;
  authority_ = *Step(begin_ + 2001h, begin_);
  EXPECT_EQ(authority_.signs, first.signs);
  EXPECT_THAT(authority_.Trusted(), HasSubstr(authority_.coming->certificate));
  const tls::KeyPair second = *authority_.coming;

  const base::WallTime settled = begin_ + 2002h;
  EXPECT_FALSE(Step(settled + 299s, settled)) << "not everybody may have heard of it";
  EXPECT_FALSE(Step(settled + 10h)) << "somebody's Secret is not written";
  authority_ = *Step(settled + 300s, settled);
  EXPECT_EQ(authority_.signs, second);
  EXPECT_FALSE(authority_.coming);
  EXPECT_EQ(authority_.Trusted(), second.certificate + first.signs.certificate);

  EXPECT_FALSE(Step(settled + 500s, settled + 400s));
  authority_ = *Step(settled + 700s, settled + 400s);
  EXPECT_EQ(authority_.Trusted(), second.certificate);
  EXPECT_FALSE(Step(settled + 1h, settled));
}

TEST_F(AuthorityTest, IsReplacedOnceForEachWish) {
  EXPECT_TRUE(Step(begin_, {}, "leaked"));
  authority_.rotation = "leaked";
  EXPECT_FALSE(Step(begin_, {}, "leaked"));
  EXPECT_TRUE(Step(begin_, {}, "leaked again"));
}

TEST_F(AuthorityTest, SurvivesItsSecret) {
  EXPECT_EQ(FromData(ToData(authority_)).value(), authority_);
  authority_.coming = *tls::MakeAuthority(begin_, 1h);
  authority_.going = authority_.signs.certificate;
  authority_.rotation = "wish";
  EXPECT_EQ(FromData(ToData(authority_)).value(), authority_);
}

TEST_F(AuthorityTest, TellsAnEmptySecretFromABrokenOne) {
  EXPECT_EQ(FromData({}).value(), std::nullopt);
  auto data = ToData(authority_);
  data["ca.key"] = "nonsense";
  EXPECT_THAT(std::string(FromData(data).status().message()),
              HasSubstr("no certificate with its own private key"));
}

}  // namespace
}  // namespace mayfly::op
