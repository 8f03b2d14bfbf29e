#include "gateway/sources/webhook/sns_envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/sources/webhook/sns_signer.h"

namespace mayfly::gateway {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kNow = 1'767'225'600;

WebhookRequest RequestOf(const std::string& body) {
  WebhookRequest request;
  request.body = body;
  return request;
}

TEST(SnsEnvelopeTest, SignsTheFieldsInTheirOrder) {
  SnsEnvelope envelope;
  envelope.type = "Notification";
  envelope.message_id = "1";
  envelope.topic_arn = "arn";
  envelope.message = "m\nn";
  envelope.timestamp = "t";
  EXPECT_EQ(SnsStringToSign(envelope),
            "Message\nm\nn\nMessageId\n1\nTimestamp\nt\nTopicArn\narn\nType\nNotification\n");
  envelope.subject = "s";
  envelope.has_subject = true;
  EXPECT_THAT(SnsStringToSign(envelope), HasSubstr("MessageId\n1\nSubject\ns\nTimestamp\n"));
  envelope.type = "SubscriptionConfirmation";
  envelope.subscribe_url = "u";
  envelope.token = "k";
  EXPECT_EQ(SnsStringToSign(envelope),
            "Message\nm\nn\nMessageId\n1\nSubscribeURL\nu\nTimestamp\nt\nToken\nk\nTopicArn\narn\nType\n"
            "SubscriptionConfirmation\n");
}

TEST(SnsEnvelopeTest, TakesASignatureOfEitherVersion) {
  const SnsSigner signer;
  for (const char* version : {"1", "2"}) {
    const std::string body =
        signer.Notification("arn:aws:sns:us-west-2:123456789012:orders", "1", "hello", version);
    const absl::StatusOr<SnsEnvelope> envelope = ReadSnsEnvelope(RequestOf(body));
    ASSERT_TRUE(envelope.ok()) << envelope.status();
    EXPECT_EQ(VerifySns(*envelope, signer.certificate(), kNow), absl::OkStatus()) << version;
    SnsEnvelope changed = *envelope;
    changed.message += "!";
    EXPECT_EQ(VerifySns(changed, signer.certificate(), kNow).code(), absl::StatusCode::kPermissionDenied);
    EXPECT_FALSE(VerifySns(*envelope, SnsSigner().certificate(), kNow).ok()) << "another key";
    EXPECT_FALSE(VerifySns(*envelope, signer.certificate(), kNow + 100 * 365 * 86'400L).ok()) << "expired";
    EXPECT_FALSE(VerifySns(*envelope, "no certificate", kNow).ok());
    const Notices notices = SnsNotice(*envelope, body);
    EXPECT_EQ(notices.events[0].event.source(), "arn:aws:sns:us-west-2:123456789012:orders");
    EXPECT_EQ(notices.events[0].event.type(), "com.amazonaws.sns.Notification");
    EXPECT_EQ(notices.events[0].event.id(), "1");
    EXPECT_EQ(notices.events[0].data, body);
  }
}

TEST(SnsEnvelopeTest, KnowsTheAddressesOfSns) {
  EXPECT_TRUE(
      IsSnsUrl("https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ec.pem", "us-west-2"));
  EXPECT_TRUE(IsSnsUrl("https://sns.cn-north-1.amazonaws.com.cn/x.pem", "cn-north-1"));
  for (const char* url : {
           "http://sns.us-west-2.amazonaws.com/x.pem",
           "https://sns.us-west-2.amazonaws.com:8443/x.pem",
           "https://sns.us-west-2.amazonaws.com.evil.example/x.pem",
           "https://sns.us-west-2.amazonaws.com@evil.example/x.pem",
           "https://evil.example/sns.us-west-2.amazonaws.com/x.pem",
           "https://evil.example#sns.us-west-2.amazonaws.com/x.pem",
           "https://evil.example\\.sns.us-west-2.amazonaws.com/x.pem",
           "https://s3.us-west-2.amazonaws.com/x.pem",
           "https://my-bucket.s3.amazonaws.com/x.pem",
           "https://sns.eu-west-1.amazonaws.com/x.pem",
           "https://sns.us-west-2.amazonaws.com",
           "https://sns.us-west-2.amazonaws.com/a b.pem",
           "HTTPS://sns.us-west-2.amazonaws.com/x.pem",
           "",
       }) {
    EXPECT_FALSE(IsSnsUrl(url, "us-west-2")) << url;
  }
  EXPECT_FALSE(IsSnsUrl("https://sns..amazonaws.com/x.pem", ""));
}

TEST(SnsEnvelopeTest, RefusesWhatLeadsElsewhere) {
  const SnsSigner signer;
  const auto refused = [](const std::string& body) {
    const absl::StatusOr<SnsEnvelope> envelope = ReadSnsEnvelope(RequestOf(body));
    return envelope.ok() ? std::string("not at all") : std::string(envelope.status().message());
  };
  EXPECT_THAT(refused(signer.Message({{"SigningCertURL", "https://evil.example/a.pem"}})),
              HasSubstr("SigningCertURL"));
  EXPECT_THAT(refused(signer.Message({{"Type", "SubscriptionConfirmation"},
                                      {"SubscribeURL", "http://169.254.169.254/latest/meta-data"}})),
              HasSubstr("SubscribeURL"));
  EXPECT_THAT(refused(signer.Message({{"TopicArn", "arn:aws:sns:evil.example/:1:a"}})),
              HasSubstr("TopicArn"));
  EXPECT_THAT(refused(signer.Message({{"SignatureVersion", "3"}})), HasSubstr("SignatureVersion"));
  EXPECT_THAT(refused(signer.Message({{"Type", "Other"}})), HasSubstr("Type"));
  EXPECT_THAT(refused("[]"), HasSubstr("Type"));
  WebhookRequest raw = RequestOf("hello");
  raw.headers = {{"x-amz-sns-rawdelivery", "true"}};
  EXPECT_THAT(std::string(ReadSnsEnvelope(raw).status().message()), HasSubstr("raw message delivery"));
}

}  // namespace
}  // namespace mayfly::gateway
