#include "tls/identity.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "mayfly/v1/runtime.grpc.pb.h"

namespace mayfly::tls {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

class Service final : public v1::Runtime::Service {
  grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest*, v1::DescribeReply*) override {
    return grpc::Status::OK;
  }
};

// A runtime of the namespace "photos", and callers with any certificate, all in this process.
class IdentityTest : public testing::Test {
 protected:
  IdentityTest() { Begin(MaterialOf(authority_, RuntimeName("photos"), Use::kServer)); }

  void Begin(Material material) {
    server_.reset();
    auto identity = Identity::FromMaterial(std::move(material), clock_, metrics_);
    ASSERT_TRUE(identity.ok()) << identity.status();
    identity_ = *std::move(identity);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", identity_->ForServer({kOperatorName, kGatewayName}), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }

  Material MaterialOf(const KeyPair& authority, const std::string& name, Use use,
                      std::chrono::seconds life = 24h) {
    return {.own = *Issue(authority, name, use, clock_.WallNow(), life),
            .authorities = authority.certificate};
  }

  grpc::Status Call(const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                    const std::string& server = RuntimeName("photos")) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetSslTargetNameOverride(server);
    const auto stub =
        v1::Runtime::NewStub(grpc::CreateCustomChannel("ipv4:" + address_, credentials, arguments));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 20s);
    v1::DescribeReply reply;
    return stub->Describe(&context, {}, &reply);
  }
  grpc::Status CallAs(Material material, const std::string& server = RuntimeName("photos")) {
    const auto identity = Identity::FromMaterial(std::move(material), clock_, metrics_);
    EXPECT_TRUE(identity.ok()) << identity.status();
    return Call((*identity)->ForChannels(), server);
  }

  base::RealClock clock_;
  base::Metrics metrics_;
  const KeyPair authority_ = *MakeAuthority(clock_.WallNow(), 24h * 3650);
  Service service_;
  std::unique_ptr<Identity> identity_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

TEST_F(IdentityTest, TakesTheGatewayAndTheOperator) {
  for (const auto& [name, use] : {std::pair{kGatewayName, Use::kClient}, {kOperatorName, Use::kBoth}}) {
    const grpc::Status status = CallAs(MaterialOf(authority_, name, use));
    EXPECT_TRUE(status.ok()) << name << ": " << status.error_message();
  }
}

TEST_F(IdentityTest, RefusesAPeerWithoutACertificate) {
  EXPECT_FALSE(Call(grpc::InsecureChannelCredentials()).ok());
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = authority_.certificate;
  EXPECT_FALSE(Call(grpc::SslCredentials(options)).ok());
}

TEST_F(IdentityTest, RefusesAClientOfAnotherAuthority) {
  const KeyPair stranger = *MakeAuthority(clock_.WallNow(), 24h);
  Material material = MaterialOf(stranger, kGatewayName, Use::kClient);
  material.authorities += authority_.certificate;  // it trusts the server; the server does not trust it
  EXPECT_FALSE(CallAs(std::move(material)).ok());
}

TEST_F(IdentityTest, AClientRefusesAServerOfAnotherAuthority) {
  const KeyPair stranger = *MakeAuthority(clock_.WallNow(), 24h);
  const grpc::Status status = CallAs(MaterialOf(stranger, kGatewayName, Use::kClient));
  EXPECT_THAT(status.error_message(), HasSubstr("certificate verify failed"));
}

TEST_F(IdentityTest, TheKeyOfARuntimeOpensNoRuntime) {
  // As it was issued, and even if it were good for clients.
  for (const Use use : {Use::kServer, Use::kBoth})
    EXPECT_FALSE(CallAs(MaterialOf(authority_, RuntimeName("photos"), use)).ok());
}

TEST_F(IdentityTest, TheKeyOfOneNamespaceIsNotTakenForAnother) {
  const grpc::Status status =
      CallAs(MaterialOf(authority_, kGatewayName, Use::kClient), RuntimeName("payments"));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("photos.runtime.mayfly.internal"),
                                            HasSubstr("payments.runtime.mayfly.internal")));
}

TEST_F(IdentityTest, AGatewayIsNotTakenForTheOperator) {
  Begin(MaterialOf(authority_, kGatewayName, Use::kBoth));
  EXPECT_FALSE(CallAs(MaterialOf(authority_, kGatewayName, Use::kClient), kOperatorName).ok());
}

TEST_F(IdentityTest, DoesNotBeginWithWhatPeersWouldRefuse) {
  const auto expired =
      Identity::FromMaterial(MaterialOf(authority_, kGatewayName, Use::kClient, -60s), clock_, metrics_);
  EXPECT_THAT(std::string(expired.status().message()), HasSubstr("expired at"));
}

// gRPC may give a connection no certificates that begins just as the last one ends.
TEST_F(IdentityTest, EveryConnectionHasItsCertificatesHoweverOthersEnd) {
  const auto identity =
      Identity::FromMaterial(MaterialOf(authority_, kGatewayName, Use::kClient), clock_, metrics_);
  ASSERT_TRUE(identity.ok()) << identity.status();
  const auto credentials = (*identity)->ForChannels();
  std::vector<std::jthread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      for (int call = 0; call < 500; ++call) {
        const grpc::Status status = Call(credentials);
        ASSERT_TRUE(status.ok()) << status.error_message();
      }
    });
  }
}

TEST_F(IdentityTest, RenewsItselfAndItsAuthorityUnderLoadWithoutAFailedCall) {
  const base::TempDir folder;
  const auto write = [&](const Material& material) {
    // As the kubelet does it: another folder, and one rename.
    static int version = 0;
    const std::string name = "..data" + std::to_string(++version);
    std::filesystem::create_directory(folder / name);
    std::ofstream(folder / (name + "/tls.crt")) << material.own.certificate;
    std::ofstream(folder / (name + "/tls.key")) << material.own.key;
    std::ofstream(folder / (name + "/ca.crt")) << material.authorities;
    std::filesystem::create_directory_symlink(name, folder / "next");
    std::filesystem::rename(folder / "next", folder / "now");
  };
  Material client = MaterialOf(authority_, kGatewayName, Use::kClient);
  write(client);
  const auto identity = Identity::FromFolder(folder / "now", clock_, metrics_, 20ms);
  ASSERT_TRUE(identity.ok()) << identity.status();
  const auto credentials = (*identity)->ForChannels();

  std::atomic<bool> ends{false};
  std::atomic<int> calls{0};
  std::atomic<int> failed{0};
  std::vector<std::jthread> load;
  for (int i = 0; i < 2; ++i) {
    load.emplace_back([&] {
      while (!ends) {
        const grpc::Status status = Call(credentials);  // each over a connection of its own
        ++calls;
        if (status.ok()) continue;
        ++failed;
        ADD_FAILURE() << status.error_message();
      }
    });
  }
  const auto more = [&](int count) {
    const int until = calls + count;
    EXPECT_TRUE(base::Eventually([&] { return calls >= until || failed > 0; }, 30s));
  };
  // gRPC looks once a second: so long a step takes to be seen, and for so long old and new meet.
  const auto settle = [&] {
    const auto until = std::chrono::steady_clock::now() + 2'500ms;
    EXPECT_TRUE(base::Eventually([&] { return std::chrono::steady_clock::now() > until; }));
    more(20);
  };
  more(20);
  const KeyPair next = *MakeAuthority(clock_.WallNow(), 24h);
  const std::string both = authority_.certificate + next.certificate;
  Material server = MaterialOf(authority_, RuntimeName("photos"), Use::kServer);
  // Both are trusted, then the new one issues, then the old one is forgotten.
  server.authorities = client.authorities = both;
  write(client);
  ASSERT_TRUE(identity_->Replace(server).ok());
  settle();
  client = MaterialOf(next, kGatewayName, Use::kClient);
  server = MaterialOf(next, RuntimeName("photos"), Use::kServer);
  server.authorities = client.authorities = both;
  write(client);
  ASSERT_TRUE(identity_->Replace(server).ok());
  settle();
  server.authorities = client.authorities = next.certificate;
  write(client);
  ASSERT_TRUE(identity_->Replace(server).ok());
  settle();
  ends = true;
  load.clear();
  EXPECT_EQ(failed, 0) << "of " << calls;
  EXPECT_FALSE(CallAs(MaterialOf(authority_, kGatewayName, Use::kClient)).ok())
      << "the old authority is forgotten";
}

TEST_F(IdentityTest, GoesOnWithWhatItHasWhenAFolderTurnsBad) {
  const base::TempDir folder;
  const Material good = MaterialOf(authority_, kGatewayName, Use::kClient);
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder / "part") << text;
    std::filesystem::rename(folder / "part", folder / name);
  };
  write("tls.crt", good.own.certificate);
  write("tls.key", good.own.key);
  write("ca.crt", good.authorities);
  const auto identity = Identity::FromFolder(folder.path(), clock_, metrics_, 10ms);
  ASSERT_TRUE(identity.ok()) << identity.status();
  const auto failures = [&] { return metrics_.Counter("mayfly_tls_reload_failures_total", "").Value(); };
  write("tls.crt", "-----BEGIN CERTIFICATE-----\nbroken\n");
  EXPECT_TRUE(base::Eventually([&] { return failures() == 1; }));
  EXPECT_TRUE(Call((*identity)->ForChannels()).ok());
  std::filesystem::remove(folder / "ca.crt");
  write("tls.crt", good.own.certificate);
  EXPECT_TRUE(base::Eventually([&] { return failures() == 2; }));
  EXPECT_TRUE(Call((*identity)->ForChannels()).ok());
}

TEST_F(IdentityTest, AFolderThatIsNotThereIsNamed) {
  const auto identity = Identity::FromFolder("/no/such/folder", clock_, metrics_);
  EXPECT_EQ(identity.status().message(), "/no/such/folder/tls.crt is not there, or empty");
}

TEST_F(IdentityTest, SaysWhenItsCertificateExpires) {
  EXPECT_NEAR(metrics_.Gauge("mayfly_tls_certificate_expiration_timestamp_seconds", "").Value(),
              static_cast<double>(std::chrono::system_clock::to_time_t(clock_.WallNow() + 24h)), 5);
}

}  // namespace
}  // namespace mayfly::tls
