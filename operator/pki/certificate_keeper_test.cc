#include "operator/pki/certificate_keeper.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// Secrets in memory. Those of the namespaces in `broken` cannot be written.
class FakeSecrets final : public SecretStore {
 public:
  absl::StatusOr<Secret> Get(const SecretName& name) override {
    ++calls;
    const auto found = secrets.find(name);
    if (found == secrets.end()) return absl::NotFoundError("no such Secret");
    return found->second;
  }
  absl::Status Replace(const SecretName& name, const std::map<std::string, std::string>& data,
                       const std::string& version) override {
    if (secrets.at(name).version != version) return absl::AbortedError("conflict");
    return Write(name, data);
  }
  absl::Status Put(const SecretName& name, const std::map<std::string, std::string>& data, const SecretName&,
                   const std::string& owner_uid) override {
    if (broken.contains(name.space)) return absl::PermissionDeniedError("secrets is forbidden");
    owners[name] = owner_uid;
    return Write(name, data);
  }
  absl::Status Delete(const SecretName& name) override {
    secrets.erase(name);
    return absl::OkStatus();
  }
  void Warn(const SecretName&, const std::string&, const std::string& message) override {
    warnings.push_back(message);
  }
  absl::Status Write(const SecretName& name, const std::map<std::string, std::string>& data) {
    ++writes;
    Secret& secret = secrets[name];
    secret.data = data;
    secret.version = std::to_string(writes);
    return absl::OkStatus();
  }

  std::map<SecretName, Secret> secrets;
  std::map<SecretName, std::string> owners;
  std::set<std::string> broken;
  std::vector<std::string> warnings;
  int writes = 0;
  int calls = 0;
};

class CertificateKeeperTest : public testing::Test {
 protected:
  static constexpr char kSystem[] = "mayfly-system";

  CertificateKeeperTest() { secrets_.secrets[kAuthority].uid = "uid-of-ca"; }

  void Open() {
    keeper_ = std::make_unique<CertificateKeeper>(
        secrets_,
        CertificateKeeperOptions{
            .space = kSystem, .authority = "ca", .gateway = "gateway", .runtime = "runtime", .rules = {}},
        [this] { return spaces_; }, clock_, metrics_);
    const auto identity = keeper_->Open();
    ASSERT_TRUE(identity.ok()) << identity.status();
  }
  tls::Material MaterialOf(const SecretName& name) {
    auto& data = secrets_.secrets.at(name).data;
    return {.own = {.certificate = data["tls.crt"], .key = data["tls.key"]}, .authorities = data["ca.crt"]};
  }
  void ExpectGood(const SecretName& name, const std::string& peer) {
    const tls::Material material = MaterialOf(name);
    EXPECT_TRUE(tls::Check(material, clock_.WallNow()).ok()) << tls::Check(material, clock_.WallNow());
    EXPECT_THAT(*tls::ReadNames(material.own.certificate), ElementsAre(peer));
  }

  const SecretName kAuthority{kSystem, "ca"};
  const SecretName kGateway{kSystem, "gateway"};
  const SecretName kPhotos{"photos", "runtime"};
  base::FakeClock clock_;
  base::Metrics metrics_;
  FakeSecrets secrets_;
  std::vector<std::string> spaces_{"photos", "payments"};
  std::unique_ptr<CertificateKeeper> keeper_;
};

TEST_F(CertificateKeeperTest, GivesEachPartACertificateOfItsOwn) {
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  ExpectGood(kGateway, tls::kGatewayName);
  ExpectGood(kPhotos, "photos.runtime.mayfly.internal");
  ExpectGood({"payments", "runtime"}, "payments.runtime.mayfly.internal");
  EXPECT_EQ(secrets_.owners[kGateway], "uid-of-ca") << "it goes with the release";
  EXPECT_EQ(secrets_.owners[kPhotos], "");
}

TEST_F(CertificateKeeperTest, TheKeyOfTheAuthorityIsInItsSecretAlone) {
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  const std::string key = secrets_.secrets[kAuthority].data["ca.key"];
  ASSERT_FALSE(key.empty());
  for (const auto& [name, secret] : secrets_.secrets) {
    if (name == kAuthority) continue;
    for (const auto& [file, text] : secret.data)
      EXPECT_EQ(text.find(key), std::string::npos) << name.name << file;
  }
}

TEST_F(CertificateKeeperTest, WritesAndReadsNothingThatIsAsItShouldBe) {
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  const int writes = secrets_.writes;
  const int calls = secrets_.calls;
  clock_.Advance(10s);
  ASSERT_TRUE(keeper_->Look().ok());
  EXPECT_EQ(secrets_.writes, writes);
  EXPECT_EQ(secrets_.calls, calls + 1) << "the authority's";
  Open();  // the next leader
  ASSERT_TRUE(keeper_->Look().ok());
  EXPECT_EQ(secrets_.writes, writes);
}

TEST_F(CertificateKeeperTest, RenewsAtTwoThirdsOfALife) {
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  const tls::Material first = MaterialOf(kPhotos);
  clock_.Advance(15h);
  ASSERT_TRUE(keeper_->Look().ok());
  EXPECT_EQ(MaterialOf(kPhotos), first);
  clock_.Advance(2h);
  ASSERT_TRUE(keeper_->Look().ok());
  EXPECT_NE(MaterialOf(kPhotos), first);
  ExpectGood(kPhotos, "photos.runtime.mayfly.internal");
}

TEST_F(CertificateKeeperTest, ASecretIsThereBeforeTheFirstPod) {
  spaces_.clear();
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  EXPECT_FALSE(secrets_.secrets.contains(kPhotos));
  spaces_ = {"photos"};
  ASSERT_TRUE(keeper_->Prepare("photos").ok());
  ExpectGood(kPhotos, "photos.runtime.mayfly.internal");
}

TEST_F(CertificateKeeperTest, TakesASecretAwayWithTheLastFunction) {
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  spaces_ = {"payments"};
  ASSERT_TRUE(keeper_->Look().ok());
  EXPECT_FALSE(secrets_.secrets.contains(kPhotos));
  EXPECT_TRUE(secrets_.secrets.contains({"payments", "runtime"}));
}

TEST_F(CertificateKeeperTest, PutsBackWhatSomebodyDeletedOrSpoiled) {
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  secrets_.secrets.erase(kPhotos);
  secrets_.secrets[kGateway].data["tls.crt"] = "nonsense";
  clock_.Advance(301s);
  ASSERT_TRUE(keeper_->Look().ok());
  ExpectGood(kPhotos, "photos.runtime.mayfly.internal");
  ExpectGood(kGateway, tls::kGatewayName);
}

TEST_F(CertificateKeeperTest, AnAuthorityFollowsAnotherAndAtNoTimeIsAPeerRefused) {
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  secrets_.secrets[kAuthority].wish = "leaked";
  secrets_.secrets[kAuthority].version = "wished";
  std::vector<tls::Material> gateways{MaterialOf(kGateway)};
  std::set<std::string> bundles{gateways[0].authorities};
  for (int looks = 0; looks < 40; ++looks) {
    clock_.Advance(30s);
    ASSERT_TRUE(keeper_->Look().ok());
    const tls::Material gateway = MaterialOf(kGateway);
    // Those that a gateway showed within the time that a Secret takes are good where the newest Secret is.
    const std::size_t back = std::min<std::size_t>(gateways.size(), 10);
    for (std::size_t i = gateways.size() - back; i < gateways.size(); ++i) {
      EXPECT_TRUE(tls::Check({.own = gateways[i].own, .authorities = MaterialOf(kPhotos).authorities},
                             clock_.WallNow())
                      .ok())
          << looks;
      EXPECT_TRUE(tls::Check({.own = MaterialOf(kPhotos).own, .authorities = gateways[i].authorities},
                             clock_.WallNow())
                      .ok())
          << looks;
    }
    gateways.push_back(gateway);
    bundles.insert(gateway.authorities);
  }
  EXPECT_EQ(bundles.size(), 4) << "one; with one coming; with one going; the other one";
  EXPECT_FALSE(
      tls::Check({.own = gateways.front().own, .authorities = gateways.back().authorities}, clock_.WallNow())
          .ok());
}

TEST_F(CertificateKeeperTest, WaitsWithTheNextStepForANamespaceThatFails) {
  Open();
  ASSERT_TRUE(keeper_->Look().ok());
  secrets_.secrets[kAuthority].wish = "leaked";
  secrets_.secrets[kAuthority].version = "wished";
  secrets_.broken = {"payments"};
  const std::string first = secrets_.secrets[kAuthority].data["ca.crt"];
  for (int looks = 0; looks < 30; ++looks) {
    clock_.Advance(60s);
    EXPECT_FALSE(keeper_->Look().ok());
  }
  EXPECT_EQ(secrets_.secrets[kAuthority].data["ca.crt"], first);
  EXPECT_THAT(secrets_.warnings,
              ElementsAre(HasSubstr("the Secret payments/runtime with the certificate of "
                                    "payments.runtime.mayfly.internal: secrets is forbidden")));
  EXPECT_GE(metrics_.Counter("mayfly_operator_certificate_failures_total", "").Value(), 30);
  secrets_.broken.clear();
  for (int looks = 0; looks < 30; ++looks) {
    clock_.Advance(60s);
    EXPECT_TRUE(keeper_->Look().ok());
  }
  EXPECT_NE(secrets_.secrets[kAuthority].data["ca.crt"], first);
}

TEST_F(CertificateKeeperTest, ABrokenAuthorityIsNamedAndNotOverwritten) {
  secrets_.secrets[kAuthority].data = {{"ca.crt", "nonsense"}, {"ca.key", "nonsense"}};
  CertificateKeeper keeper(
      secrets_,
      {.space = kSystem, .authority = "ca", .gateway = "gateway", .runtime = "runtime", .rules = {}},
      [this] { return spaces_; }, clock_, metrics_);
  EXPECT_THAT(std::string(keeper.Open().status().message()),
              HasSubstr("the Secret mayfly-system/ca (empty it, and another one is made)"));
  EXPECT_EQ(secrets_.writes, 0);
}

}  // namespace
}  // namespace mayfly::op
