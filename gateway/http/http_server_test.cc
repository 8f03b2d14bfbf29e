#include "gateway/http/http_server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <memory>
#include <thread>
#include <vector>

#include "gateway/http/http_server_fixture.h"

namespace mayfly::gateway {
namespace {

using Fake = FakeDispatcher;

std::string HeaderOf(const v1::Event& event, std::string_view name) {
  for (const v1::Pair& pair : event.http().headers()) {
    if (pair.name() == name) return pair.value();
  }
  return "(none)";
}

TEST_F(HttpServerTest, AnswersWithWhatTheFunctionSays) {
  Echo();
  Start();
  const std::string answer =
      Ask("POST /echo/a?b=c HTTP/1.1\r\nHost: Example.COM:80\r\nContent-Length: 5\r\nX-Mine: 1\r\n\r\nhello");
  EXPECT_EQ(answer.substr(0, 17), "HTTP/1.1 200 OK\r\n");
  EXPECT_NE(answer.find("\r\nContent-Length: 5\r\n"), std::string::npos);
  EXPECT_NE(answer.find("\r\nX-Request-Id: "), std::string::npos);
  EXPECT_NE(answer.find("\r\nDate: "), std::string::npos);
  EXPECT_EQ(answer.find("Mayfly-"), std::string::npos);
  EXPECT_EQ(answer.substr(answer.size() - 5), "hello");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  const v1::Event& event = call->request.start.event();
  EXPECT_EQ(event.http().method(), "POST");
  EXPECT_EQ(event.http().path(), "/echo/a");
  EXPECT_EQ(event.http().query(), "b=c");
  EXPECT_EQ(event.http().path_parameters(0).value(), "a");
  EXPECT_EQ(event.type(), "dev.mayfly.http.request");
  EXPECT_EQ(event.source(), "/echo/a");
  EXPECT_EQ(HeaderOf(event, "x-mine"), "1");
  EXPECT_EQ(HeaderOf(event, "x-forwarded-for"), "127.0.0.1");
  EXPECT_EQ(HeaderOf(event, "x-forwarded-host"), "example.com:80");
  EXPECT_EQ(HeaderOf(event, "traceparent").size(), 55u);
  EXPECT_EQ(call->request.start.timeout_ms(), 60'000u);
  EXPECT_EQ(call->request.start.body_size(), 5u);
}

TEST_F(HttpServerTest, TakesTargetsThatNameTheirHost) {
  v1::RouteUpdate update;
  v1::FunctionRoute& root = *update.add_upsert();
  root.set_function("test/root");
  root.add_http()->set_path("/{rest...}");
  router.Apply(update);
  dispatcher.on_begin = [](Fake::Call& call) {
    const v1::HttpRequest& http = call.request.start.event().http();
    call.sink->OnPart(Fake::Whole(200, http.path() + "?" + http.query()));
  };
  Start();
  for (const auto& [target, seen] :
       std::vector<std::pair<std::string, std::string>>{{"http://a", "/?"},
                                                        {"http://a/", "/?"},
                                                        {"http://a?x=/y", "/?x=/y"},
                                                        {"http://a?", "/?"},
                                                        {"http://a/b?x", "/b?x"}}) {
    const std::string answer = Ask("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(answer.ends_with("\r\n\r\n" + seen)) << target << ": " << answer;
  }
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  TestClient client(address);
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += fmt::format("POST /echo/{} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{:02}", i, i);
  }
  client.Send(requests);
  for (std::size_t i = 0; i < 20; ++i) {
    const auto call = dispatcher.Await(i);
    ASSERT_TRUE(call);
    EXPECT_EQ(dispatcher.count(), i + 1) << "dispatched before its turn";
    call->sink->OnPart(Fake::Whole(200, call->body));
    const std::string answer = client.ReadAnswer();
    EXPECT_EQ(answer.substr(answer.size() - 2), fmt::format("{:02}", i));
  }
}

TEST_F(HttpServerTest, CancelsWhenTheClientResets) {
  Start();
  TestClient client(address);
  client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(dispatcher.Await(0));
  client.Reset();
  EXPECT_TRUE(dispatcher.Await(0, [](const Fake::Call& call) { return call.cancelled && call.gone; }));
}

TEST_F(HttpServerTest, StreamsALargeBodyAsTheFunctionTakesIt) {
  options.buffered_body_bytes = 64 * 1024;
  Start();
  TestClient client(address);
  const std::string body(600'000, 'x');
  std::jthread sender([&] {
    client.Send(fmt::format("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.size()));
    client.Send(body);
  });
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  EXPECT_FALSE(call->request.body_complete);
  EXPECT_EQ(call->request.body.size(), 64u * 1024);
  for (std::size_t taken = call->request.body.size(); taken < body.size();) {
    call->sink->OnWritable();
    ASSERT_TRUE(dispatcher.Await(0, [&](const Fake::Call& c) { return c.body.size() > taken; }));
    taken = dispatcher.With(*call, [](const Fake::Call& c) { return c.body.size(); });
  }
  EXPECT_TRUE(dispatcher.Await(0, [](const Fake::Call& c) { return c.body_complete; }));
  EXPECT_EQ(call->body, body);
  EXPECT_LE(call->largest_write, 64u * 1024);
  call->sink->OnPart(Fake::Whole(200, "done"));
  EXPECT_NE(client.ReadAnswer().find("done"), std::string::npos);
}

TEST_F(HttpServerTest, StreamsAnAnswerOfUnknownLengthInChunksWithMeteringInTrailers) {
  Start();
  TestClient client(address);
  client.Send("GET /echo HTTP/1.1\r\nHost: a\r\nMayfly-Metering: true\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  call->sink->OnPart(Fake::Head(200));
  const std::string head = client.ReadUntil("\r\n\r\n");
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_NE(head.find("Trailer: Mayfly-Wall-Ms"), std::string::npos);
  call->sink->OnPart(Fake::Data("hello"));
  EXPECT_EQ(client.ReadUntil("hello\r\n"), "5\r\nhello\r\n");
  v1::ResponsePart last = Fake::Whole(200, "!");
  last.clear_head();
  call->sink->OnPart(std::move(last));
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"),
            "1\r\n!\r\n0\r\nMayfly-Wall-Ms: 1.234\r\nMayfly-Cpu-Ms: 0.007\r\nMayfly-Peak-Rss-Bytes: 4096\r\n"
            "Mayfly-Cold: true\r\n\r\n");
}

TEST_F(HttpServerTest, HoldsNoMoreOfAnAnswerThanItsWindow) {
  Start();
  TestClient client(address, 4096);
  client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  const std::uint64_t window = call->request.start.window();
  EXPECT_LE(window, 256u * 1024);
  call->sink->OnPart(Fake::Head(200));
  // Send what is granted, and no more, until 8 MiB are through.
  constexpr std::uint64_t kAll = 8 << 20;
  std::jthread reader([&] { client.ReadAll(); });
  std::uint64_t sent = 0;
  while (sent < kAll) {
    ASSERT_TRUE(
        dispatcher.Await(0, [&](const Fake::Call& c) { return c.granted + window >= sent + 32 * 1024; }));
    call->sink->OnPart(Fake::Data(std::string(32 * 1024, 'x')));
    sent += 32 * 1024;
  }
  v1::ResponsePart end;
  end.mutable_result()->set_outcome(v1::OUTCOME_OK);
  call->sink->OnPart(std::move(end));
  ASSERT_TRUE(dispatcher.Await(0, [](const Fake::Call& c) { return c.gone; }));
  server->Stop(std::chrono::steady_clock::now() + std::chrono::seconds(10));
}

TEST_F(HttpServerTest, SendsContinueOnlyWhenTheBodyIsWanted) {
  Echo();
  Start();
  TestClient wanted(address);
  wanted.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(wanted.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  wanted.Send("ok");
  EXPECT_NE(wanted.ReadAnswer().find("200 OK"), std::string::npos);
  TestClient unwanted(address);
  unwanted.Send("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(unwanted.ReadAll().substr(0, 12), "HTTP/1.1 404");
}

TEST_F(HttpServerTest, RefusesWhatNoRouteTakesAndGoesOn) {
  Echo();
  Start();
  TestClient client(address);
  client.Send("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(client.ReadAnswer().substr(0, 12), "HTTP/1.1 404");
  client.Send("GET /post/1 HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string refused = client.ReadAnswer();
  EXPECT_EQ(refused.substr(0, 12), "HTTP/1.1 405");
  EXPECT_NE(refused.find("\r\nAllow: POST\r\n"), std::string::npos);
  client.Send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string broken = client.ReadAnswer();
  EXPECT_EQ(broken.substr(0, 12), "HTTP/1.1 503");
  EXPECT_NE(broken.find("Retry-After: 1"), std::string::npos);
  EXPECT_NE(broken.find("\"reason\":\"ArtifactMissing\""), std::string::npos);
  client.Send("GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.ReadAnswer().substr(0, 12), "HTTP/1.1 400");
  client.Send("GET /_mayfly/functions/test/echo/x HTTP/1.1\r\nHost: a.example\r\n\r\n");
  const std::string by_name = client.ReadAnswer();
  EXPECT_EQ(by_name.substr(0, 12), "HTTP/1.1 403");
  EXPECT_NE(by_name.find("\"reason\":\"HostNotLocal\""), std::string::npos) << by_name;
  client.Send("GET /_mayfly/functions/test/echo/x HTTP/1.1\r\nHost: LocalHost:8080\r\n\r\n");
  EXPECT_EQ(client.ReadAnswer().substr(0, 12), "HTTP/1.1 200");
}

TEST_F(HttpServerTest, SaysThatItIsStartingUntilItHasAllRoutes) {
  Router awaiting(RouterOptions{.awaits_routes = true});
  options.address = "127.0.0.1:0";
  options.threads = 1;
  HttpServer starting(options, awaiting, dispatcher, metrics);
  const absl::StatusOr<std::string> bound = starting.Start();
  ASSERT_TRUE(bound.ok()) << bound.status();
  TestClient client(*bound);
  client.Send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string early = client.ReadAnswer();
  EXPECT_EQ(early.substr(0, 12), "HTTP/1.1 503");
  EXPECT_NE(early.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_NE(early.find("\"reason\":\"Starting\""), std::string::npos);
  awaiting.RoutesComplete();
  client.Send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.ReadAnswer().substr(0, 12), "HTTP/1.1 404");
}

TEST_F(HttpServerTest, RefusesAMethodThatNoTriggerMayName) {
  Start();
  for (const char* const method : {"FOO", "get", "CONNECT", "TRACE"}) {
    const std::string answer = Ask(fmt::format("{} /echo HTTP/1.1\r\nHost: a\r\n\r\n", method));
    EXPECT_THAT(answer.substr(0, 10), ::testing::AnyOf("HTTP/1.1 5", "HTTP/1.1 4")) << answer;
  }
  EXPECT_EQ(Ask("FOO /echo HTTP/1.1\r\nHost: a\r\n\r\n").substr(0, 12), "HTTP/1.1 501");
  EXPECT_EQ(dispatcher.count(), 0u);
}

TEST_F(HttpServerTest, RefusesABodyThatIsTooLargeBeforeItComes) {
  Start();
  TestClient client(address);
  client.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n");
  const std::string answer = client.ReadAll();
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 413");
  EXPECT_NE(
      answer.find("larger than the 1048576 bytes that the function takes (spec.limits.maxRequestBytes)"),
      std::string::npos)
      << answer;
  TestClient chunked(address);
  chunked.Send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n");
  EXPECT_NE(chunked.ReadAll().find("larger than the 1048576 bytes"), std::string::npos);
  EXPECT_EQ(dispatcher.count(), 0u);
}

TEST_F(HttpServerTest, AnswersHeadWithoutABodyAndHttp10ByClosing) {
  Echo();
  Start();
  TestClient client(address);
  client.Send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(client.ReadUntil("\r\n\r\n").find("Content-Length: 0"), std::string::npos);
  EXPECT_EQ(client.ReadUntil("\r\n\r\n").substr(0, 12), "HTTP/1.1 204");
  TestClient old(address);
  old.Send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_NE(old.ReadAll().find("Connection: close"), std::string::npos);
}

TEST_F(HttpServerTest, ReplacesAHostileRequestIdAndKeepsASafeOne) {
  Echo();
  Start();
  EXPECT_NE(
      Ask("GET /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc-1.2\r\n\r\n").find("X-Request-Id: abc-1.2\r\n"),
      std::string::npos);
  for (const std::string& id :
       {std::string("a b"), std::string("a\"b"), std::string("<x>"), std::string(129, 'a')}) {
    const std::string answer = Ask("GET /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: " + id + "\r\n\r\n");
    EXPECT_EQ(answer.find(id), std::string::npos);
    const std::size_t at = answer.find("X-Request-Id: ");
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(answer.find("\r\n", at) - at, sizeof("X-Request-Id: ") - 1 + 26) << answer;
  }
}

TEST_F(HttpServerTest, HidesHopByHopHeadersAndForgedOrigins) {
  Echo();
  Start();
  Ask("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: x-secret, keep-alive\r\nX-Secret: 1\r\nTE: "
      "trailers\r\nUpgrade: h2c\r\n"
      "HTTP2-Settings: x\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Kept: 1\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  const v1::Event& event = call->request.start.event();
  for (const char* gone : {"connection", "x-secret", "te", "upgrade", "http2-settings", "forwarded"}) {
    EXPECT_EQ(HeaderOf(event, gone), "(none)") << gone;
  }
  EXPECT_EQ(HeaderOf(event, "x-forwarded-for"), "127.0.0.1");
  EXPECT_EQ(HeaderOf(event, "x-kept"), "1");
}

TEST_F(HttpServerTest, TurnsAnAnswerThatCannotBeSentIntoA502) {
  Start();
  const std::vector<std::pair<std::string, std::string>> wrong[] = {
      {{"x-a", "b\r\nSet-Cookie: evil"}}, {{"x a", "b"}}, {{"content-length", "5x"}}};
  std::size_t index = 0;
  for (const auto& headers : wrong) {
    TestClient client(address);
    client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto call = dispatcher.Await(index++);
    ASSERT_TRUE(call);
    call->sink->OnPart(Fake::Whole(200, "x", headers));
    const std::string answer = client.ReadAnswer();
    EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 502");
    EXPECT_NE(answer.find("\"reason\":\"BadAnswer\""), std::string::npos);
  }
}

TEST_F(HttpServerTest, TellsWhyAnInvocationFailed) {
  Start();
  TestClient client(address);
  client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  call->sink->OnPart(Fake::Failure(v1::OUTCOME_NOT_STARTED, "HoldQueueFull", "1000 requests wait already"));
  const std::string answer = client.ReadAnswer();
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 429");
  EXPECT_NE(answer.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_NE(answer.find("1000 requests wait already"), std::string::npos);
}

TEST_F(HttpServerTest, BreaksOffAnAnswerWhoseFunctionFailsInIt) {
  Start();
  TestClient client(address);
  client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  call->sink->OnPart(Fake::Head(200));
  call->sink->OnPart(Fake::Data("half"));
  call->sink->OnPart(Fake::Failure(v1::OUTCOME_CRASHED, "WorkerCrashed", "SIGSEGV"));
  const std::string answer = client.ReadAll();
  EXPECT_EQ(answer.substr(answer.size() - 9), "4\r\nhalf\r\n");
}

TEST_F(HttpServerTest, CutsSlowHeadsSlowBodiesAndAnswersThatNeverCome) {
  options.header_timeout = std::chrono::milliseconds(300);
  options.body_period = std::chrono::milliseconds(300);
  options.default_timeout = std::chrono::milliseconds(100);
  options.answer_grace = std::chrono::milliseconds(200);
  Start();
  TestClient silent(address);
  EXPECT_EQ(silent.ReadAll(), "");
  TestClient slow_head(address);
  slow_head.Send("GET /echo HT");
  EXPECT_EQ(slow_head.ReadAll().substr(0, 12), "HTTP/1.1 408");
  TestClient slow_body(address);
  slow_body.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
  EXPECT_EQ(slow_body.ReadAll().substr(0, 12), "HTTP/1.1 408");
  TestClient unanswered(address);
  unanswered.Send("POST /post/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(unanswered.ReadAll().substr(0, 12), "HTTP/1.1 504");
  EXPECT_TRUE(dispatcher.Await(0, [](const Fake::Call& call) { return call.cancelled; }));
}

TEST_F(HttpServerTest, ASlowBodyTakesNoSlotBeforeItIsThere) {
  Start();
  const std::string body(200'000, 'x');
  TestClient slow(address);
  slow.Send(fmt::format("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.size()));
  slow.Send(body.substr(0, 150'000));
  TestClient other(address);
  other.Send("GET /echo/other HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto first = dispatcher.Await(0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->request.start.event().http().path(), "/echo/other");
  slow.Send(body.substr(150'000));
  const auto second = dispatcher.Await(1);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->request.body_complete);
  EXPECT_EQ(second->body, body);
}

TEST_F(HttpServerTest, WaitsForNoMoreThanAPieceOfABodyOnceManyWait) {
  options.threads = 1;
  options.buffered_bytes = 100'000;
  Start();
  TestClient client(address);
  client.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
  client.Send(std::string(250'000, 'x'));
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  EXPECT_FALSE(call->request.body_complete);
  EXPECT_LT(call->request.body.size(), 250'000u);
}

TEST_F(HttpServerTest, RefusesBodiesOnceThoseThatWaitForAReplicaTakeAllTheMemoryTheyMay) {
  options.threads = 1;
  options.buffered_bytes = 400'000;
  Start();
  const std::string body(60'000, 'x');
  const std::string request = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + body;
  std::vector<std::unique_ptr<TestClient>> held;
  for (std::size_t i = 0; i < 7; ++i) {
    held.push_back(std::make_unique<TestClient>(address));
    held.back()->Send(request);
    ASSERT_TRUE(dispatcher.Await(i)) << i;
  }
  TestClient next(address);
  next.Send(request);
  const std::string refused = next.ReadAnswer();
  EXPECT_EQ(refused.substr(0, 12), "HTTP/1.1 503") << refused;
  EXPECT_NE(refused.find("\"reason\":\"TooManyBodies\""), std::string::npos) << refused;
  EXPECT_NE(refused.find("\r\nRetry-After: 1\r\n"), std::string::npos) << refused;
  // What has no body waits on.
  next.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(dispatcher.Await(7));
  dispatcher.Await(7)->sink->OnPart(Fake::Whole(200, ""));
  EXPECT_EQ(next.ReadAnswer().substr(0, 12), "HTTP/1.1 200");
  // One is answered, the client of another goes: there is room for two.
  dispatcher.Await(0)->sink->OnPart(Fake::Whole(200, ""));
  EXPECT_EQ(held[0]->ReadAnswer().substr(0, 12), "HTTP/1.1 200");
  next.Send(request);
  ASSERT_TRUE(dispatcher.Await(8));
  held[1]->Reset();
  ASSERT_TRUE(dispatcher.Await(1, [](const Fake::Call& call) { return call.gone; }));
  TestClient last(address);
  last.Send(request);
  ASSERT_TRUE(dispatcher.Await(9));
}

TEST_F(HttpServerTest, CountsABodyNoMoreOnceItsReplicaTakesTheRest) {
  options.threads = 1;
  options.buffered_bytes = 80'000;
  Start();
  TestClient streams(address);
  streams.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + std::string(80'000, 'x'));
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  EXPECT_FALSE(call->request.body_complete);
  TestClient waits(address);
  waits.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + std::string(60'000, 'x'));
  ASSERT_TRUE(dispatcher.Await(1));
  EXPECT_EQ(Ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").substr(0, 12),
            "HTTP/1.1 503");
  call->sink->OnWritable();
  ASSERT_TRUE(dispatcher.Await(0, [](const Fake::Call& each) { return each.body.size() > 64u * 1024; }));
  TestClient next(address);
  next.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_TRUE(dispatcher.Await(2));
}

TEST_F(HttpServerTest, CutsABodyThatHoldsASlotAndComesSlowly) {
  options.buffered_body_bytes = 64 * 1024;
  options.body_period = std::chrono::milliseconds(1000);
  Start();
  TestClient client(address);
  client.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
  client.Send(std::string(64 * 1024, 'x'));
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  call->sink->OnWritable();
  // Enough for one that only waits, but not here.
  client.Send(std::string(2'000, 'x'));
  ASSERT_TRUE(dispatcher.Await(0, [](const Fake::Call& c) { return c.body.size() > 64 * 1024; }));
  call->sink->OnWritable();
  EXPECT_EQ(client.ReadAll().substr(0, 12), "HTTP/1.1 408");
  EXPECT_TRUE(dispatcher.Await(0, [](const Fake::Call& c) { return c.cancelled; }));
}

TEST_F(HttpServerTest, TakesNoMoreConnectionsThanItsDescriptorsAllow) {
  Echo();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  Start();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 48; ++i) {
    clients.push_back(std::make_unique<TestClient>(address));
    clients.back()->Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(clients.back()->ReadAnswer().substr(0, 12), "HTTP/1.1 200") << i;
  }
  TestClient next(address);
  EXPECT_EQ(next.ReadAll().substr(0, 12), "HTTP/1.1 503");
}

TEST_F(HttpServerTest, CutsAClientThatDoesNotReadItsAnswer) {
  options.write_period = std::chrono::milliseconds(300);
  Start();
  TestClient client(address, 4096);
  client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  call->sink->OnPart(Fake::Head(200));
  // More than any socket takes.
  call->sink->OnPart(Fake::Data(std::string(32 << 20, 'x')));
  EXPECT_TRUE(dispatcher.Await(0, [](const Fake::Call& c) { return c.cancelled; }));
}

TEST_F(HttpServerTest, TurnsConnectionsAwayThatAreTooMany) {
  options.max_connections = 2;
  Echo();
  Start();
  TestClient first(address);
  TestClient second(address);
  first.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  second.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(first.ReadAnswer().substr(0, 12), "HTTP/1.1 200");
  EXPECT_EQ(second.ReadAnswer().substr(0, 12), "HTTP/1.1 200");
  TestClient third(address);
  EXPECT_EQ(third.ReadAll().substr(0, 12), "HTTP/1.1 503");
}

TEST_F(HttpServerTest, AnswersWhatRunsBeforeItStops) {
  // On one loop the end of the idle connection says that the busy one's loop has heard of the stop too.
  options.threads = 1;
  Start();
  TestClient idle(address);
  TestClient busy(address);
  busy.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  std::jthread stopper([&] { server->Stop(std::chrono::steady_clock::now() + std::chrono::seconds(10)); });
  EXPECT_EQ(idle.ReadAll(), "");
  call->sink->OnPart(Fake::Whole(200, "last"));
  const std::string answer = busy.ReadAll();
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_NE(answer.find("last"), std::string::npos);
}

TEST_F(HttpServerTest, CancelsWhatRunsPastTheStopsDeadlineAndSaysSo) {
  Start();
  TestClient busy(address);
  busy.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  server->Stop(std::chrono::steady_clock::now());
  EXPECT_TRUE(dispatcher.With(*call, [](const Fake::Call& c) { return c.cancelled; }));
  // The dispatcher may still have something to say.
  call->sink->OnPart(Fake::Whole(200, "too late"));
  const std::string answer = busy.ReadAll();
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 503") << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
  EXPECT_NE(answer.find("ShuttingDown"), std::string::npos) << answer;
}

TEST_F(HttpServerTest, CutsAnAnswerThatHasBegunAtTheStopsDeadline) {
  Start();
  TestClient busy(address);
  busy.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  call->sink->OnPart(Fake::Head(200));
  call->sink->OnPart(Fake::Data("half"));
  std::string answer = busy.ReadUntil("half");
  server->Stop(std::chrono::steady_clock::now());
  answer += busy.ReadAll();
  EXPECT_EQ(answer.find("HTTP/1.1 503"), std::string::npos) << answer;
  EXPECT_FALSE(answer.ends_with("0\r\n\r\n")) << answer;
}

TEST_F(HttpServerTest, NamesWhoHoldsATakenPort) {
  Start();
  HttpOptions same = options;
  same.address = address;
  HttpServer second(same, router, dispatcher, metrics);
  const auto bound = second.Start();
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.status().code(), absl::StatusCode::kUnavailable);
  const std::string said(bound.status().message());
  EXPECT_NE(said.find(fmt::format("process {} (", ::getpid())), std::string::npos) << said;
  EXPECT_NE(said.find("holds the port; stop it, or choose another port"), std::string::npos) << said;
}

TEST_F(HttpServerTest, TakesEventsInBinaryAndStructuredMode) {
  Echo();
  Start();
  Ask("POST /echo HTTP/1.1\r\nHost: a\r\nce-specversion: 1.0\r\nce-id: 7\r\nce-source: /s\r\nce-type: "
      "t\r\nce-extra: %20x\r\n\r\n");
  const std::string event = R"({"specversion":"1.0","id":"8","source":"/s","type":"t","data":{"a":1}})";
  const std::string answer =
      Ask(fmt::format("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: "
                      "application/cloudevents+json\r\nContent-Length: {}\r\n\r\n{}",
                      event.size(), event));
  EXPECT_NE(answer.find("\r\n\r\n{\"a\":1}"), std::string::npos) << answer;
  EXPECT_EQ(dispatcher.Await(0)->request.start.event().id(), "7");
  EXPECT_EQ(dispatcher.Await(0)->request.start.event().attributes(0).value(), " x");
  EXPECT_EQ(dispatcher.Await(1)->request.start.event().id(), "8");
  EXPECT_EQ(Ask("POST /echo HTTP/1.1\r\nHost: a\r\nce-specversion: 0.3\r\n\r\n").substr(0, 12),
            "HTTP/1.1 400");
  EXPECT_EQ(Ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/cloudevents-batch+json\r\n\r\n")
                .substr(0, 12),
            "HTTP/1.1 415");
}

}  // namespace
}  // namespace mayfly::gateway
