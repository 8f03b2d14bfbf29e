// A server on a free port over a FakeDispatcher, with a few routes.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/metrics.h"
#include "gateway/http/fake_dispatcher.h"
#include "gateway/http/http_server.h"
#include "gateway/http/test_client.h"

namespace mayfly::gateway {

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    v1::RouteUpdate update;
    v1::FunctionRoute& echo = *update.add_upsert();
    echo.set_function("test/echo");
    echo.set_timeout_ms(60'000);
    echo.set_max_request_bytes(1024 * 1024);
    echo.add_http()->set_path("/echo/{rest...}");
    v1::FunctionRoute& post = *update.add_upsert();
    post.set_function("test/post");
    post.add_http()->set_path("/post/{id}");
    post.mutable_http(0)->add_methods("POST");
    v1::FunctionRoute& broken = *update.add_upsert();
    broken.set_function("test/broken");
    broken.add_http()->set_path("/broken");
    broken.mutable_unavailable()->set_component("operator");
    broken.mutable_unavailable()->set_reason("ArtifactMissing");
    broken.mutable_unavailable()->set_message("there is no such file");
    router.Apply(update);
    options.address = "127.0.0.1:0";
    if (options.threads == 0) options.threads = 2;
  }

  void Start() {
    server = std::make_unique<HttpServer>(options, router, dispatcher, metrics);
    const auto bound = server->Start();
    ASSERT_TRUE(bound.ok()) << bound.status();
    address = *bound;
  }
  // Every request is answered with its body, at once.
  void Echo() {
    dispatcher.on_complete = [](FakeDispatcher::Call& call) {
      call.sink->OnPart(FakeDispatcher::Whole(200, call.body, {{"content-type", "text/plain"}}));
    };
  }
  std::string Ask(std::string_view bytes) {
    TestClient client(address);
    client.Send(bytes);
    return client.ReadAnswer();
  }

  base::Metrics metrics;
  Router router{RouterOptions{.by_name = true}};
  FakeDispatcher dispatcher;
  HttpOptions options;
  std::unique_ptr<HttpServer> server;
  std::string address;
};

}  // namespace mayfly::gateway
