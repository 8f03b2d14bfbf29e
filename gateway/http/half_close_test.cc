// A client that shuts down its sending side gets every answer that it asked for, over a real socket.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "gateway/http/http_server_fixture.h"

namespace mayfly::gateway {
namespace {

using Fake = FakeDispatcher;
using HalfCloseTest = HttpServerTest;

TEST_F(HalfCloseTest, AnswersAClientThatHasShutDownItsSendingSide) {
  Start();
  TestClient client(address);
  client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  client.ShutDownSending();
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  call->sink->OnPart(Fake::Whole(200, "late"));
  const std::string answer = client.ReadAll();
  EXPECT_EQ(answer.substr(answer.size() - 4), "late");
}

TEST_F(HalfCloseTest, AnswersEveryRequestBeforeAHalfCloseWhateverBecomesOfThoseBetween) {
  Start();
  TestClient client(address);
  client.Send(
      "GET /echo/1 HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
      "PUT /post/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
      "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /echo/2 HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /echo/3 HTTP/1.1\r\nHost: a\r\n\r\n"
      "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /echo/4 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
      "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
  client.ShutDownSending();
  const std::vector<v1::ResponsePart> answers = {
      Fake::Whole(200, "one"), Fake::Failure(v1::OUTCOME_CRASHED, "Crashed", "it crashed"),
      // More than may wait in the output: those behind it wait for room.
      Fake::Whole(200, std::string(600'000, 'x')), Fake::Whole(200, "four")};
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto call = dispatcher.Await(i);
    ASSERT_TRUE(call) << i;
    call->sink->OnPart(v1::ResponsePart(answers[i]));
  }
  std::string all = client.ReadAll();
  std::vector<std::string> statuses;
  for (std::size_t at = all.find("HTTP/1.1 "); at != std::string::npos; at = all.find("HTTP/1.1 ", at + 1))
    statuses.push_back(all.substr(at + 9, 3));
  EXPECT_THAT(statuses,
              ::testing::ElementsAre("200", "404", "405", "204", "502", "200", "404", "200", "404"));
  EXPECT_EQ(all.find("(silence)"), std::string::npos);
}

TEST_F(HalfCloseTest, TakesAWholeBodyThatWaitsWhenTheClientShutsDownItsSendingSide) {
  options.buffered_body_bytes = 64 * 1024;
  Start();
  TestClient client(address);
  const std::string body(100'000, 'x');
  client.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + body);
  client.ShutDownSending();
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  // Another connection of the same loop has been served since the first one's end was seen.
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(Ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").substr(0, 12), "HTTP/1.1 204");
  call->sink->OnWritable();
  ASSERT_TRUE(dispatcher.Await(0, [](const Fake::Call& each) { return each.body_complete; }));
  EXPECT_EQ(call->body, body);
  call->sink->OnPart(Fake::Whole(200, "whole"));
  EXPECT_EQ(client.ReadAll().substr(0, 12), "HTTP/1.1 200");
}

TEST_F(HalfCloseTest, RefusesABodyCutShortByAHalfCloseHoweverLongItsRequestWaited) {
  Start();
  TestClient client(address);
  client.Send(
      "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  client.ShutDownSending();
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  // Seen by the time that another of the same loop is served.
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(Ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").substr(0, 12), "HTTP/1.1 204");
  call->sink->OnPart(Fake::Whole(200, "first"));
  EXPECT_EQ(client.ReadUntil("first").substr(0, 12), "HTTP/1.1 200");
  EXPECT_NE(client.ReadAll().find("BodyCutShort"), std::string::npos);
  EXPECT_EQ(dispatcher.count(), 1u);
}

TEST_F(HalfCloseTest, FindsOutThatAClientHasClosedAndCancels) {
  options.half_close_probe = std::chrono::milliseconds(100);
  options.buffered_body_bytes = 64 * 1024;
  Start();
  {
    TestClient leaves(address);
    leaves.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(dispatcher.Await(0));
    TestClient uploads(address);
    uploads.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" +
                 std::string(100'000, 'x'));
    ASSERT_TRUE(dispatcher.Await(1));
    // Both close without having read anything: a FIN each, no reset.
  }
  EXPECT_TRUE(dispatcher.Await(0, [](const Fake::Call& call) { return call.cancelled && call.gone; }));
  EXPECT_TRUE(dispatcher.Await(1, [](const Fake::Call& call) { return call.cancelled && call.gone; }));
}

TEST_F(HalfCloseTest, SendsNothingButInterimAnswersToAClientThatWaits) {
  options.half_close_probe = std::chrono::milliseconds(100);
  Start();
  TestClient client(address);
  client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  client.ShutDownSending();
  for (std::size_t i = 0; i < 2; ++i) {
    const auto call = dispatcher.Await(i);
    ASSERT_TRUE(call);
    for (int probes = 0; probes < 2; ++probes)
      EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_FALSE(dispatcher.With(*call, [](const Fake::Call& each) { return each.cancelled; }));
    call->sink->OnPart(Fake::Whole(200, "late"));
    EXPECT_EQ(client.ReadUntil("late").substr(0, 12), "HTTP/1.1 200");
  }
  EXPECT_EQ(client.ReadAll(), "");
}

TEST_F(HalfCloseTest, SendsNoInterimAnswerToHttp10) {
  options.half_close_probe = std::chrono::milliseconds(100);
  Start();
  TestClient client(address);
  client.Send("GET /echo HTTP/1.0\r\n\r\n");
  client.ShutDownSending();
  const auto call = dispatcher.Await(0);
  ASSERT_TRUE(call);
  // One of HTTP/1.1 that half-closed later has had one.
  TestClient other(address);
  other.Send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  other.ShutDownSending();
  EXPECT_EQ(other.ReadUntil("\r\n\r\n").substr(0, 12), "HTTP/1.1 100");
  call->sink->OnPart(Fake::Whole(200, "late"));
  EXPECT_EQ(client.ReadAll().substr(0, 12), "HTTP/1.1 200");
}

}  // namespace
}  // namespace mayfly::gateway
