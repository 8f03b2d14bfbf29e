// Requests that two servers could read in two ways, over a real socket: each gets one refusal and a closed connection,
// and no function sees any of it.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "gateway/http/http_server_fixture.h"

namespace mayfly::gateway {
namespace {

struct Hostile {
  std::string request;
  int status = 400;
};

// A second request stands after each, to be smuggled in.
const std::string kSmuggled = "GET /echo/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

std::vector<Hostile> HeadCases() {
  const std::string start = "GET /echo HTTP/1.1\r\nHost: a\r\n";
  std::vector<Hostile> cases = {
      {"GET /echo HTTP/1.1\nHost: a\n\n"},
      {"GET /echo HTTP/1.1\r\nHost: a\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a\r\n\n"},
      {"\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET /echo\r\n"},
      {"GET /echo \r\nHost: a\r\n\r\n"},
      {"GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET /echo  HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET\t/echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {" GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET /echo HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"GET /echo HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"GET /echo http/1.1\r\nHost: a\r\n\r\n"},
      {"GET /echo HTTP/1.10\r\nHost: a\r\n\r\n"},
      {"GET /echo HTTP/11\r\nHost: a\r\n\r\n"},
      {"GET /echo HTTP/x.1\r\nHost: a\r\n\r\n"},
      {"G@T /echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET /echo#x HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET /\xC3\xA9 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET ftp://a/echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET https://a/echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET http://b/echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET http://a:81/echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET http:///echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GET http://u@a/echo HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"TRACE /echo HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"GET /echo HTTP/1.1\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost:\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a,b\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: u@a\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a:x\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a:\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: a:99999\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost: [::1\r\n\r\n"},
      {"GET /echo HTTP/1.1\r\nHost : a\r\n\r\n"},
      {start + "X-A : b\r\n\r\n"},
      {start + "X-A\t: b\r\n\r\n"},
      {start + " X-A: b\r\n\r\n"},
      {start + "X-A: b\r\n c\r\n\r\n"},
      {start + "X-A: b\r\n\tc\r\n\r\n"},
      {start + "X-A\r\n\r\n"},
      {start + ": b\r\n\r\n"},
      {start + "X_A: b\r\n\r\n"},
      {start + "X(A): b\r\n\r\n"},
      {start + "X-\xC3\xA9: b\r\n\r\n"},
      {start + "X-A: b\rc\r\n\r\n"},
      {start + "X-A: b\r\r\n\r\n"},
      {start + std::string("X-A: b\0c\r\n\r\n", 12)},
      {start + std::string("X-\0A: b\r\n\r\n", 11)},
      {start + "X-A: b\x01\r\n\r\n"},
      {start + "X-A: b\x7F\r\n\r\n"},
      {start + "X-A: b\x0B\r\n\r\n"},
      {start + "Connection: content-length\r\nContent-Length: 4\r\n\r\nabcd"},
      {start + "Connection: close, transfer-encoding\r\n\r\n"},
      {start + "Connection: host\r\n\r\n"},
      {start + "Expect: 200-ok\r\n\r\n", 417},
      {start + "Expect: 100-continue, other\r\n\r\n", 417},
      {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"GET /" + std::string(40000, 'a'), 414},
      {start + "X-A: " + std::string(40000, 'a') + "\r\n\r\n", 431},
  };
  std::string many = start;
  for (int i = 0; i < 200; ++i) many += fmt::format("X-{}: a\r\n", i);
  cases.push_back({many + "\r\n", 431});
  return cases;
}

std::vector<Hostile> LengthCases() {
  const std::string start = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  std::vector<Hostile> cases;
  for (const std::string length : {"+5", "-5", "0x5", "5 5", "5, 5", "5,", "", "5.0", "5e1", "abc",
                                   "99999999999999999999", "\"5\"", "5;", "\xEF\xBC\x91"}) {
    cases.push_back({start + "Content-Length: " + length + "\r\n\r\nabcde"});
  }
  for (const std::string encoding :
       {"chunkedx", "xchunked", "chunked, chunked", "gzip, chunked", "chunked, gzip", "gzip", "identity", "",
        "\"chunked\"", "chunked;q=1", ",chunked", "chunked,",
        "\x0b"
        "chunked"}) {
    cases.push_back({start + "Transfer-Encoding: " + encoding + "\r\n\r\n0\r\n\r\n"});
  }
  cases.insert(cases.end(),
               {{start + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"},
                {start + "Content-Length: 5\r\ncontent-length: 6\r\n\r\nabcde"},
                {start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
                {start + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
                {start + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
                {start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
                {start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"},
                {start + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
                {start + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
                {"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}});
  return cases;
}

std::vector<Hostile> ChunkCases() {
  const std::string start = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::vector<Hostile> cases;
  for (const std::string body : {"5\nabcde\r\n0\r\n\r\n",
                                 "5\r\nabcde\n0\r\n\r\n",
                                 "5\r\nabcde0\r\n\r\n",
                                 "5\r\nabcdef\r\n0\r\n\r\n",
                                 "0x5\r\nabcde\r\n0\r\n\r\n",
                                 "+5\r\nabcde\r\n0\r\n\r\n",
                                 "-5\r\nabcde\r\n0\r\n\r\n",
                                 " 5\r\nabcde\r\n0\r\n\r\n",
                                 "5 \r\nabcde\r\n0\r\n\r\n",
                                 "5 ;a\r\nabcde\r\n0\r\n\r\n",
                                 "\r\nabcde\r\n0\r\n\r\n",
                                 ";a\r\nabcde\r\n0\r\n\r\n",
                                 "g\r\nabcde\r\n0\r\n\r\n",
                                 "5\r\rabcde\r\n0\r\n\r\n",
                                 "5\rabcde\r\n0\r\n\r\n",
                                 "10000000000000005\r\nabcde\r\n0\r\n\r\n",
                                 "ffffffffffffffff\r\n",
                                 "0000000000000000000005\r\nabcde\r\n0\r\n\r\n",
                                 "5;a\nabcde\r\n0\r\n\r\n",
                                 "5;a\x01\r\nabcde\r\n0\r\n\r\n",
                                 "5;\r\nabcde\r\n0\r\n\r\n",
                                 "5;;a\r\nabcde\r\n0\r\n\r\n",
                                 "5;=b\r\nabcde\r\n0\r\n\r\n",
                                 "5;a=\r\nabcde\r\n0\r\n\r\n",
                                 "5;a=b=c\r\nabcde\r\n0\r\n\r\n",
                                 "5;a b\r\nabcde\r\n0\r\n\r\n",
                                 "5;a=b c\r\nabcde\r\n0\r\n\r\n",
                                 "5;a \r\nabcde\r\n0\r\n\r\n",
                                 "5;\"a\"\r\nabcde\r\n0\r\n\r\n",
                                 "5;a=\"\r\nabcde\r\n0\r\n\r\n",
                                 "5;a=\"b\r\n\"\r\nabcde\r\n0\r\n\r\n",
                                 "5;a=\"b\\\"\r\nabcde\r\n0\r\n\r\n",
                                 "5;a=\"b\"c\r\nabcde\r\n0\r\n\r\n",
                                 "5;a=b\"c\"\r\nabcde\r\n0\r\n\r\n",
                                 "0\r\nX-A: b\n\r\n",
                                 "0\r\nX-A : b\r\n\r\n",
                                 "0\r\n X-A: b\r\n\r\n",
                                 "0\r\nX-A\r\n\r\n",
                                 "0\r\n\n",
                                 "0\n\n",
                                 "0\r\n\rX",
                                 "0\r\n: b\r\n\r\n",
                                 "0\r\nX_A: b\r\n\r\n"}) {
    cases.push_back({start + body});
  }
  cases.push_back({start + "5;" + std::string(5000, 'a') + "\r\nabcde\r\n0\r\n\r\n"});
  cases.push_back({start + "0\r\nX-A: " + std::string(9000, 'a') + "\r\n\r\n"});
  cases.push_back({start + "200000\r\n", 413});
  return cases;
}

class HostileRequestTest : public HttpServerTest {
 protected:
  void RefusesEach(const std::vector<Hostile>& cases) {
    Echo();
    Start();
    for (const Hostile& hostile : cases) {
      SCOPED_TRACE(hostile.request.substr(0, 200));
      TestClient client(address);
      ASSERT_TRUE(client.connected());
      client.Send(hostile.request + kSmuggled);
      const std::string answer = client.ReadAll();
      EXPECT_EQ(answer.substr(0, 13), fmt::format("HTTP/1.1 {} ", hostile.status)) << answer;
      EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos) << answer;
      EXPECT_NE(answer.find("\"requestId\":\""), std::string::npos) << answer;
      EXPECT_EQ(answer.find("\nHTTP/1.1 "), std::string::npos) << "a second answer: " << answer;
      EXPECT_EQ(answer.find("(silence)"), std::string::npos) << "not closed";
    }
    EXPECT_EQ(dispatcher.count(), 0u);
  }
};

TEST_F(HostileRequestTest, GetsOneRefusalForADoubtfulHead) { RefusesEach(HeadCases()); }

TEST_F(HostileRequestTest, GetsOneRefusalForADoubtfulLength) { RefusesEach(LengthCases()); }

TEST_F(HostileRequestTest, GetsOneRefusalForADoubtfulChunk) { RefusesEach(ChunkCases()); }

TEST_F(HostileRequestTest, TakesEveryChunkExtensionThatTheGrammarHas) {
  Echo();
  Start();
  for (const std::string extension :
       {";a", ";a=b", ";a=\"\"", ";a=\"b;c=\\\"d\\\\\"", ";a;b=c;d=\"e\"", "; a = b ; c\t=\t\"d\" ;e"}) {
    const std::string answer = Ask("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5" +
                                   extension + "\r\nabcde\r\n0" + extension + "\r\n\r\n");
    EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 200") << extension;
    EXPECT_TRUE(answer.ends_with("\r\n\r\nabcde")) << extension << answer;
  }
}

TEST_F(HostileRequestTest, GetsTheSameRefusalByteByByte) {
  Start();
  for (const std::string& request :
       {std::string("GET /echo HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n"),
        std::string("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nabc")}) {
    TestClient client(address);
    for (const char& c : request) {
      if (!client.Send({&c, 1})) break;
    }
    EXPECT_EQ(client.ReadAll().substr(0, 13), "HTTP/1.1 400 ");
  }
}

}  // namespace
}  // namespace mayfly::gateway
