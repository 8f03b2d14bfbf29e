#include "tls/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tls/names.h"

namespace mayfly::tls {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class CertificateTest : public testing::Test {
 protected:
  KeyPair Leaf(std::chrono::seconds life = 24h) {
    return *Issue(authority_, kGatewayName, Use::kClient, now_, life);
  }
  std::string WhatIsWrong(const Material& material) { return std::string(Check(material, now_).message()); }

  const base::WallTime now_ = std::chrono::system_clock::from_time_t(1'790'000'000);
  const KeyPair authority_ = *MakeAuthority(now_, 24h * 3650);
};

TEST_F(CertificateTest, ALeafIsVouchedForByItsAuthority) {
  const KeyPair leaf = Leaf();
  EXPECT_EQ(WhatIsWrong({.own = leaf, .authorities = authority_.certificate}), "");
  EXPECT_THAT(*ReadNames(leaf.certificate), ElementsAre(kGatewayName));
}

TEST_F(CertificateTest, TwoThirdsOfALifeAreUsed) {
  const Validity validity = *ReadValidity(Leaf(24h).certificate);
  EXPECT_EQ(validity.end, now_ + 24h);
  EXPECT_NEAR(std::chrono::duration<double>(validity.RenewAt() - now_).count(), 16 * 3600, 300);
}

TEST_F(CertificateTest, ALeafDoesNotOutliveItsAuthority) {
  EXPECT_EQ(ReadValidity(Leaf(24h * 10'000).certificate)->end, ReadValidity(authority_.certificate)->end);
}

TEST_F(CertificateTest, IsVouchedForWhileTwoAuthoritiesAreTrusted) {
  const KeyPair next = *MakeAuthority(now_, 24h);
  EXPECT_EQ(WhatIsWrong({.own = Leaf(), .authorities = next.certificate + authority_.certificate}), "");
}

TEST_F(CertificateTest, WhatIsWrongIsToldInASentence) {
  const KeyPair leaf = Leaf();
  const std::string& ca = authority_.certificate;
  EXPECT_EQ(WhatIsWrong({.own = {"", leaf.key}, .authorities = ca}), "tls.crt has no certificate in PEM");
  EXPECT_THAT(WhatIsWrong({.own = {leaf.certificate, "-----BEGIN NONSENSE-----"}, .authorities = ca}),
              HasSubstr("tls.key has no private key in PEM"));
  EXPECT_EQ(WhatIsWrong({.own = {leaf.certificate, Leaf().key}, .authorities = ca}),
            "tls.key is not the key of the certificate in tls.crt");
  EXPECT_EQ(WhatIsWrong({.own = leaf, .authorities = leaf.key}), "ca.crt has no certificate in PEM");
  const KeyPair stranger = *MakeAuthority(now_, 24h);
  EXPECT_THAT(WhatIsWrong({.own = leaf, .authorities = stranger.certificate}),
              HasSubstr("is not one that the authorities in ca.crt vouch for"));
  EXPECT_THAT(std::string(Check({.own = leaf, .authorities = ca}, now_ + 25h).message()),
              HasSubstr("expired at 2026-09-22 14:13:20 UTC: renew it"));
}

TEST_F(CertificateTest, ALeafIssuesNothing) {
  const KeyPair leaf = Leaf();
  const absl::StatusOr<KeyPair> forged = Issue(leaf, kOperatorName, Use::kBoth, now_, 1h);
  ASSERT_TRUE(forged.ok());
  EXPECT_THAT(WhatIsWrong({.own = {forged->certificate + leaf.certificate, forged->key},
                           .authorities = authority_.certificate}),
              HasSubstr("vouch"));
}

}  // namespace
}  // namespace mayfly::tls
