// A LiveCluster is a real API server and a client of it, for the tests with the label `kubernetes`.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "operator/kube/client.h"
#include "operator/kube/credentials.h"
#include "operator/kube/curl_transport.h"
#include "operator/kube/load_config.h"
#include "operator/kube/testing/eventually.h"
#include "tests/cluster/running_api_server.h"

namespace mayfly::kube::testing {

// Everything between a configuration and a client, for one user.
class LiveClient {
 public:
  explicit LiveClient(Config config, RateLimiter::Limits limits = {.per_second = 2000, .burst = 4000})
      : credentials_(std::move(config), clock_),
        transport_(credentials_, "mayfly-test"),
        client_(transport_, metrics_, clock_, limits) {}

  Client& operator*() { return client_; }
  Client* operator->() { return &client_; }
  base::Metrics& metrics() { return metrics_; }

 private:
  base::RealClock clock_;
  base::Metrics metrics_;
  Credentials credentials_;
  CurlTransport transport_;
  Client client_;
};

// One server for all tests of a suite: each takes a namespace of its own.
class LiveClusterTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = mayfly::testing::RunningApiServer::Start();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::make_unique<mayfly::testing::RunningApiServer>(*std::move(server));
  }
  static void TearDownTestSuite() { server_.reset(); }

  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    client_.emplace(AdminConfig());
    space_ = "test-" + std::to_string(++spaces_);
    const auto made = (*client_)->Create(
        kNamespaces, "", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":")" + space_ + "\"}}");
    ASSERT_TRUE(made.ok()) << made.status();
  }

  static Config AdminConfig() {
    LoadOptions options;
    options.file = server_->kubeconfig();
    const auto config = LoadConfig(options);
    EXPECT_TRUE(config.ok()) << config.status();
    return *config;
  }

  static std::string ConfigMapJson(const std::string& name, const std::string& value = "v",
                                   const std::string& metadata = "") {
    return R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name + "\"" + metadata +
           R"(},"data":{"k":")" + value + "\"}}";
  }

  Target Named(const std::string& name, const std::string& subresource = "") const {
    return {.space = space_, .name = name, .subresource = subresource};
  }

  Client& client() { return **client_; }

  inline static const Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
  inline static std::unique_ptr<mayfly::testing::RunningApiServer> server_;
  inline static int spaces_ = 0;

  std::optional<LiveClient> client_;
  std::string space_;
};

}  // namespace mayfly::kube::testing
