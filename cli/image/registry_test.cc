#include "cli/image/registry.h"

#include <gmock/gmock.h>
#include <httplib.h>

#include <map>
#include <thread>

#include "base/digest.h"

namespace mayfly::cli {
namespace {

using ::testing::HasSubstr;

// A registry in a few lines, which lets in whoever has `authorization`.
class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() : port_(server_.bind_to_any_port("127.0.0.1")) {
    reference_ = *ParseImageReference("127.0.0.1:" + std::to_string(port_) + "/tools/hello:1");
    std::string elf(64, '\0');
    elf.replace(0, 4,
                "\x7f"
                "ELF");
    elf[18] = 62;
    image_ = *MakeModuleImage(elf);
    server_.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      requests_.push_back(request.method + " " + request.path);
      if (request.path == "/token" || authorization_.empty() ||
          request.get_header_value("Authorization") == authorization_)
        return httplib::Server::HandlerResponse::Unhandled;
      response.status = 401;
      response.set_header("WWW-Authenticate", challenge_.c_str());
      return httplib::Server::HandlerResponse::Handled;
    });
    server_.Get("/token", [](const httplib::Request& request, httplib::Response& response) {
      const bool known = request.get_header_value("Authorization") == "Basic YWRhOnM=" &&
                         request.get_param_value("scope") == "repository:tools/hello:pull,push";
      response.status = known ? 200 : 401;
      if (known) response.set_content(R"({"token": "t"})", "application/json");
    });
    server_.Get("/v2/tools/hello/blobs/(.*)",
                [this](const httplib::Request& request, httplib::Response& response) {
                  response.status = blobs_.contains(request.matches[1]) ? 200 : 404;
                });
    server_.Post("/v2/tools/hello/blobs/uploads/", [this](const auto&, httplib::Response& response) {
      response.status = refusal_ == 0 ? 202 : refusal_;
      if (refusal_ != 0)
        response.set_content(R"({"errors":[{"code":"DENIED","message":"not yours"}]})", "application/json");
      response.set_header("Location", "/upload?state=a+b");
    });
    server_.Put("/upload", [this](const httplib::Request& request, httplib::Response& response) {
      const std::string digest = request.get_param_value("digest");
      response.status = digest == "sha256:" + base::Sha256Hex(request.body) ? 201 : 400;
      blobs_[digest] = request.body;
    });
    server_.Put(
        "/v2/tools/hello/manifests/1", [this](const httplib::Request& request, httplib::Response& response) {
          manifest_ = request.body;
          response.status = request.get_header_value("Content-Type") == kManifestType ? 201 : 400;
          response.set_header("Docker-Content-Digest", ("sha256:" + base::Sha256Hex(request.body)).c_str());
        });
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~RegistryTest() override {
    server_.stop();
    thread_.join();
  }
  absl::StatusOr<Pushed> Push(const PushOptions& options = {}) {
    return PushImage(reference_, image_, options);
  }

  httplib::Server server_;
  const int port_;
  std::thread thread_;
  ImageReference reference_;
  ModuleImage image_;
  std::vector<std::string> requests_;
  std::map<std::string, std::string> blobs_;
  std::string manifest_;
  std::string authorization_;  // "": everybody
  std::string challenge_;
  int refusal_ = 0;
};

TEST_F(RegistryTest, GetsEachPartAndTheManifestLast) {
  const auto pushed = Push();
  ASSERT_TRUE(pushed.ok()) << pushed.status();
  EXPECT_EQ(pushed->reference, reference_.Name() + "@" + image_.manifest.digest);
  EXPECT_EQ(pushed->sent, 2);
  EXPECT_EQ(blobs_[image_.layer.digest], image_.layer.content);
  EXPECT_EQ(manifest_, image_.manifest.content);
}

TEST_F(RegistryTest, IsNotSentWhatItHas) {
  ASSERT_TRUE(Push().ok());
  requests_.clear();
  EXPECT_EQ(Push()->sent, 0);
  EXPECT_EQ(requests_.size(), 3u) << "two looks and the manifest";
}

TEST_F(RegistryTest, IsToldAPasswordIfItAsksForOne) {
  authorization_ = "Basic YWRhOnM=";
  challenge_ = "Basic realm=\"r\"";
  EXPECT_THAT(Push().status().message(), HasSubstr("docker login 127.0.0.1"));
  EXPECT_TRUE(Push({.credentials = RegistryCredentials{"ada", "s"}}).ok());
  const auto refused = Push({.credentials = RegistryCredentials{"ada", "wrong"}});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(refused.status().message(), HasSubstr("refuses the password of ada"));
}

TEST_F(RegistryTest, IsToldATokenThatItsServerGivesForThePassword) {
  authorization_ = "Bearer t";
  challenge_ =
      "Bearer realm=\"http://127.0.0.1:" + std::to_string(port_) + "/token\",service=\"s\",scope=\"x\"";
  EXPECT_FALSE(Push().ok());
  const auto pushed = Push({.credentials = RegistryCredentials{"ada", "s"}});
  EXPECT_TRUE(pushed.ok()) << pushed.status();
}

TEST_F(RegistryTest, IsQuotedInItsRefusal) {
  refusal_ = 403;
  EXPECT_THAT(Push().status().message(), HasSubstr("does not let you push to tools/hello (not yours)"));
  refusal_ = 404;
  EXPECT_THAT(Push().status().message(), HasSubstr("has no repository tools/hello"));
  refusal_ = 500;
  EXPECT_EQ(Push().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(RegistryTest, IsSaidNotToAnswer) {
  reference_ = *ParseImageReference("127.0.0.1:1/tools/hello");
  EXPECT_THAT(Push().status().message(), HasSubstr("http://127.0.0.1:1 does not answer"));
}

}  // namespace
}  // namespace mayfly::cli
