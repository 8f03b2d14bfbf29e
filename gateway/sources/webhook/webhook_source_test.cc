#include "gateway/sources/webhook/webhook_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "gateway/sources/request_receiver.h"
#include "gateway/sources/testing/recording_event_sink.h"
#include "gateway/sources/webhook/mac.h"
#include "gateway/sources/webhook/sns_signer.h"

namespace mayfly::gateway {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;

// Answers when the test says so.
class FakeClient final : public HttpClient {
 public:
  void Send(HttpCall call, Done done) override { calls.emplace_back(std::move(call), std::move(done)); }
  void Answer(int status, std::string body) {
    auto [call, done] = std::move(calls.front());
    calls.erase(calls.begin());
    HttpResult result;
    result.status = status;
    result.body = std::move(body);
    done(std::move(result));
  }
  void Fail(absl::Status status) {
    auto [call, done] = std::move(calls.front());
    calls.erase(calls.begin());
    done(std::move(status));
  }
  std::vector<std::pair<HttpCall, Done>> calls;
};

class WebhookSourceTest : public ::testing::Test {
 protected:
  WebhookSourceTest() {
    auto client = std::make_unique<FakeClient>();
    client_ = client.get();
    factory_ = MakeWebhookFactory(std::move(client));
    trigger_.set_name("hook");
  }
  ~WebhookSourceTest() override { End(); }

  void Secret(const std::string& lines) {
    trigger_.set_secret_name("s");
    (*trigger_.mutable_secret())["secret"] = lines;
  }
  void Begin() {
    SourceContext context;
    context.key = kKey;
    context.clock = &clock_;
    auto made = factory_->Make(trigger_, context);
    ASSERT_TRUE(made.ok()) << made.status();
    source_ = *std::move(made);
    ASSERT_TRUE(source_->Start(sink_).ok());
  }
  void End() {
    if (source_ == nullptr) return;
    source_->Quiesce();
    source_->Stop(std::chrono::steady_clock::now());
    source_.reset();
  }

  // The answer appears once there is one.
  std::shared_ptr<std::optional<WebhookAnswer>> Send(WebhookRequest request) {
    auto answer = std::make_shared<std::optional<WebhookAnswer>>();
    ReceivedRequest received;
    received.request = std::move(request);
    received.answer = [answer](WebhookAnswer given) {
      EXPECT_FALSE(answer->has_value()) << "two answers";
      *answer = std::move(given);
    };
    last_cancelled_ = received.cancelled;
    factory_->receiver()->Receive(kKey, std::move(received));
    return answer;
  }
  static WebhookRequest Post(std::vector<std::pair<std::string, std::string>> headers, std::string body) {
    WebhookRequest request;
    request.method = "POST";
    request.headers = std::move(headers);
    request.body = std::move(body);
    return request;
  }
  WebhookRequest GitHub(const std::string& secret, const std::string& id = "1") {
    const std::string body = R"({"ref":"refs/heads/main"})";
    return Post({{"x-github-event", "push"},
                 {"x-github-delivery", id},
                 {"x-hub-signature-256", "sha256=" + absl::BytesToHexString(HmacSha256(secret, body))}},
                body);
  }
  void SettleAll(Settled how, const absl::Status& why = {}) {
    std::vector<Settlement> settlements;
    for (const SourceEvent& event : sink_.Await(0)) {
      if (event.token > settled_) settlements.push_back({event.token, how, why});
      settled_ = std::max(settled_, event.token);
    }
    source_->Settle(settlements);
  }

  const TriggerKey kKey{"default/f", "hook"};
  base::FakeClock clock_;
  RecordingEventSink sink_;
  v1::EventTrigger trigger_;
  FakeClient* client_ = nullptr;
  std::unique_ptr<SourceFactory> factory_;
  std::unique_ptr<EventSource> source_;
  std::shared_ptr<std::atomic<bool>> last_cancelled_;
  EventToken settled_ = 0;
};

TEST_F(WebhookSourceTest, AnswersOnceItsEventIsStoredAndNotBefore) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::GITHUB);
  Secret("sesame");
  Begin();
  const auto answer = Send(GitHub("sesame"));
  ASSERT_EQ(sink_.Await(1).size(), 1u);
  EXPECT_EQ(sink_.Await(1)[0].event.type(), "com.github.push");
  EXPECT_FALSE(answer->has_value());
  SettleAll(Settled::kStored);
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status, 202);
  EXPECT_EQ((*answer)->body, "{\"accepted\":1}\n");
}

TEST_F(WebhookSourceTest, SaysToComeAgainWhatCouldNotBeStored) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::CLOUD_EVENTS);
  Begin();
  const auto answer = Send(Post({{"content-type", "application/cloudevents-batch+json"}},
                                R"([{"specversion":"1.0","id":"1","source":"s","type":"t"},
                                    {"specversion":"1.0","id":"2","source":"s","type":"t"}])"));
  const auto events = sink_.Await(2);
  ASSERT_EQ(events.size(), 2u);
  source_->Settle({{events[0].token, Settled::kReleased, absl::ResourceExhaustedError("the disk is full")}});
  EXPECT_FALSE(answer->has_value());
  source_->Settle({{events[1].token, Settled::kStored, {}}});
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status, 503);
  EXPECT_THAT((*answer)->body, HasSubstr("the disk is full"));
  EXPECT_THAT((*answer)->headers, Contains(Pair("retry-after", "1")));
}

TEST_F(WebhookSourceTest, RefusesWhatIsNotSignedOrByNobodyOfTheirs) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::GITHUB);
  Secret("sesame\nopen\n");
  Begin();
  EXPECT_EQ((*Send(GitHub("guess")))->status, 403);
  EXPECT_EQ((*Send(Post({}, "{}")))->status, 401);
  EXPECT_TRUE(sink_.Await(0).empty());
  Send(GitHub("sesame"));
  Send(GitHub("open"));
  EXPECT_EQ(sink_.Await(2).size(), 2u) << "each line is a secret";
}

TEST_F(WebhookSourceTest, SaysWhatAnHttpSenderHasWrong) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::CLOUD_EVENTS);
  Begin();
  EXPECT_EQ((*Send(Post({{"content-type", "text/plain"}}, "x")))->status, 415);
  const auto bad = Send(Post({{"content-type", "application/cloudevents+json"}},
                             R"({"specversion":"1.0","id":"1","source":"s"})"));
  EXPECT_EQ((*bad)->status, 400);
  EXPECT_THAT((*bad)->body, HasSubstr("attribute type is missing"));
  WebhookRequest ask;
  ask.method = "OPTIONS";
  ask.headers = {{"webhook-request-origin", "example.com"}};
  EXPECT_THAT((*Send(ask))->headers, Contains(Pair("webhook-allowed-origin", "example.com")));
  const auto none = Send(Post({{"content-type", "application/cloudevents-batch+json"}}, "[]"));
  EXPECT_EQ((*none)->status, 202) << "a batch may be empty";
}

TEST_F(WebhookSourceTest, AnswersTheChallengeOfSlackOnlyIfItIsSigned) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::SLACK);
  Secret("sesame");
  Begin();
  const std::string body = R"({"type":"url_verification","challenge":"abc"})";
  const std::string now = std::to_string(
      std::chrono::duration_cast<std::chrono::seconds>(clock_.WallNow().time_since_epoch()).count());
  const std::string signature =
      "v0=" + absl::BytesToHexString(HmacSha256("sesame", "v0:" + now + ":" + body));
  EXPECT_EQ((*Send(Post({{"x-slack-signature", signature}, {"x-slack-request-timestamp", now}}, body)))->body,
            "abc");
  EXPECT_EQ((*Send(Post({}, body)))->status, 401);
  clock_.Advance(std::chrono::seconds(301));
  EXPECT_EQ(
      (*Send(Post({{"x-slack-signature", signature}, {"x-slack-request-timestamp", now}}, body)))->status,
      403)
      << "what was caught is of no use later";
}

TEST_F(WebhookSourceTest, GivesAnEventWithoutAnIdOneOfItsOwn) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::GENERIC);
  Begin();
  Send(Post({}, "a"));
  Send(Post({}, "a"));
  const auto events = sink_.Await(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_FALSE(events[0].event.id().empty());
  EXPECT_NE(events[0].event.id(), events[1].event.id());
}

TEST_F(WebhookSourceTest, TellsWhyNoRequestCanBeBelievedToTheOperatorAndToTheSender) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::STANDARD_WEBHOOKS);
  Secret("whsec_$$$");
  Begin();
  EXPECT_THAT(std::string(sink_.health()->message()), HasSubstr("line 1 under the key secret of Secret s"));
  EXPECT_THAT(std::string(sink_.health()->message()), ::testing::Not(HasSubstr("$$$")));
  EXPECT_EQ((*Send(Post({}, "")))->status, 503);
}

TEST_F(WebhookSourceTest, ARequestWaitsForASourceThatIsMadeAnew) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::GITHUB);
  Secret("old");
  Begin();
  source_->Quiesce();
  const auto answer = Send(GitHub("new"));
  const auto cancelled = Send(GitHub("new", "2"));
  *last_cancelled_ = true;
  EXPECT_FALSE(answer->has_value());
  End();
  Secret("new\nold");
  Begin();
  const auto events = sink_.Await(1);
  ASSERT_EQ(events.size(), 1u) << "the one that is still waited for";
  SettleAll(Settled::kStored);
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status, 202);
}

TEST_F(WebhookSourceTest, AnswersAllThatWaitWhenItStops) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::GITHUB);
  Secret("s");
  Begin();
  const auto answer = Send(GitHub("s"));
  EXPECT_FALSE(answer->has_value());
  End();
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status, 503);
}

TEST_F(WebhookSourceTest, LetsOnlySoManyRequestsWait) {
  std::vector<std::shared_ptr<std::optional<WebhookAnswer>>> answers;
  for (int n = 0; n < 257; ++n) answers.push_back(Send(Post({}, "")));
  EXPECT_FALSE(answers[255]->has_value());
  ASSERT_TRUE(answers[256]->has_value());
  EXPECT_EQ((*answers[256])->status, 503);
}

// ---- SNS

constexpr char kTopic[] = "arn:aws:sns:us-west-2:123456789012:MyTopic";

TEST_F(WebhookSourceTest, FetchesTheCertificateOfSnsOnce) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::SNS);
  trigger_.mutable_webhook()->add_topics(kTopic);
  Begin();
  const SnsSigner signer;
  const auto first = Send(Post({}, signer.Notification(kTopic, "1", "hello")));
  const auto second = Send(Post({}, signer.Notification(kTopic, "2", "hello")));
  ASSERT_EQ(client_->calls.size(), 1u);
  EXPECT_THAT(client_->calls[0].first.url, HasSubstr("https://sns.us-west-2.amazonaws.com/"));
  client_->Answer(200, signer.certificate());
  EXPECT_EQ(sink_.Await(2).size(), 2u);
  Send(Post({}, signer.Notification(kTopic, "3", "hello")));
  EXPECT_TRUE(client_->calls.empty());
  SettleAll(Settled::kStored);
  EXPECT_EQ((*first)->status, 202);
  EXPECT_EQ((*second)->status, 202);
}

TEST_F(WebhookSourceTest, RefusesWhatSnsSignsForOthersAndWhatOthersSign) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::SNS);
  trigger_.mutable_webhook()->add_topics(kTopic);
  Begin();
  const SnsSigner signer;
  EXPECT_EQ(
      (*Send(Post({}, signer.Notification("arn:aws:sns:us-west-2:666666666666:evil", "1", "x"))))->status,
      403);
  EXPECT_EQ((*Send(Post({}, signer.Message({{"SigningCertURL", "https://evil.example/x.pem"}}))))->status,
            400);
  EXPECT_TRUE(client_->calls.empty()) << "nothing is fetched for them";
  const auto forged = Send(Post({}, SnsSigner().Notification(kTopic, "1", "x")));
  client_->Answer(200, signer.certificate());
  EXPECT_EQ((*forged)->status, 403);
  EXPECT_TRUE(sink_.Await(0).empty());
}

TEST_F(WebhookSourceTest, ConfirmsASubscriptionOfItsTopicAtSns) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::SNS);
  trigger_.mutable_webhook()->add_topics(kTopic);
  Begin();
  const SnsSigner signer;
  const std::string url =
      "https://sns.us-west-2.amazonaws.com/"
      "?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-west-2:123456789012:MyTopic&Token=2336412f37";
  const std::string body =
      signer.Message({{"Type", "SubscriptionConfirmation"}, {"SubscribeURL", url}, {"Token", "2336412f37"}});
  auto answer = Send(Post({}, body));
  client_->Answer(200, signer.certificate());
  ASSERT_EQ(client_->calls.size(), 1u);
  EXPECT_EQ(client_->calls[0].first.url, url);
  EXPECT_FALSE(answer->has_value());
  client_->Answer(200, "<ConfirmSubscriptionResponse/>");
  EXPECT_EQ((*answer)->status, 200);
  answer = Send(Post({}, body));
  client_->Answer(403, "expired");
  EXPECT_EQ((*answer)->status, 503);
  EXPECT_TRUE(sink_.Await(0).empty());
}

TEST_F(WebhookSourceTest, SaysToComeAgainWhileTheCertificateCannotBeFetched) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::SNS);
  trigger_.mutable_webhook()->add_topics(kTopic);
  Begin();
  const SnsSigner signer;
  auto answer = Send(Post({}, signer.Notification(kTopic, "1", "x")));
  client_->Fail(absl::UnavailableError("Could not resolve host"));
  EXPECT_EQ((*answer)->status, 503);
  EXPECT_THAT((*answer)->body, HasSubstr("Could not resolve host"));
  answer = Send(Post({}, signer.Notification(kTopic, "1", "x")));
  client_->Answer(404, "no");
  EXPECT_EQ((*answer)->status, 503);
  Send(Post({}, signer.Notification(kTopic, "1", "x")));
  client_->Answer(200, signer.certificate());
  EXPECT_EQ(sink_.Await(1).size(), 1u);
}

TEST_F(WebhookSourceTest, UnpacksANoticeOfABucketThatComesBySns) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::S3);
  trigger_.mutable_webhook()->add_topics(kTopic);
  Begin();
  const SnsSigner signer;
  Send(Post(
      {}, signer.Notification(
              kTopic, "1",
              R"({"Records":[{"eventName":"ObjectCreated:Put","eventSource":"aws:s3","awsRegion":"us-west-2",
"s3":{"bucket":{"name":"b"},"object":{"key":"k","eTag":"1"}}}]})")));
  client_->Answer(200, signer.certificate());
  const auto events = sink_.Await(1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].event.type(), "com.amazonaws.s3.ObjectCreated:Put");
  EXPECT_EQ(events[0].event.subject(), "k");
}

TEST_F(WebhookSourceTest, AnswersWhatWaitsForSnsWhenTheGatewayEnds) {
  trigger_.mutable_webhook()->set_service(v1::WebhookTrigger::SNS);
  trigger_.mutable_webhook()->add_topics(kTopic);
  Begin();
  const SnsSigner signer;
  const auto answer = Send(Post({}, signer.Notification(kTopic, "1", "x")));
  End();
  client_->Answer(200, signer.certificate());
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status, 503);
}

}  // namespace
}  // namespace mayfly::gateway
