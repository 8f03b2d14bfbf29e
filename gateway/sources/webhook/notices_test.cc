// What services send, in the shapes that their documentation shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/sources/webhook/aws_notices.h"
#include "gateway/sources/webhook/cloud_event_request.h"
#include "gateway/sources/webhook/service_notices.h"

namespace mayfly::gateway {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kNow = 1'767'225'600;  // 2026-01-01

WebhookRequest Post(std::vector<std::pair<std::string, std::string>> headers, std::string body) {
  WebhookRequest request;
  request.method = "POST";
  request.path = "/hook";
  request.headers = std::move(headers);
  request.body = std::move(body);
  return request;
}

CloudEvent Only(absl::StatusOr<Notices> notices) {
  EXPECT_TRUE(notices.ok()) << notices.status();
  if (!notices.ok()) return {};
  EXPECT_EQ(notices->events.size(), 1u);
  return notices->events.empty() ? CloudEvent() : notices->events.front();
}

std::string ExtensionOf(const v1::Event& event, const std::string& name) {
  for (const v1::Pair& pair : event.attributes()) {
    if (pair.name() == name) return pair.value();
  }
  return "(none)";
}

// ---- CloudEvents

WebhookRequest Binary(std::vector<std::pair<std::string, std::string>> more) {
  std::vector<std::pair<std::string, std::string>> headers = {
      {"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return Post(std::move(headers), "data");
}
WebhookRequest Structured(const std::string& json) {
  return Post({{"content-type", "application/cloudevents+json"}}, json);
}

TEST(CloudEventRequestTest, ReadsBinaryMode) {
  const CloudEvent event = Only(ReadCloudEvents(Binary({{"content-type", "text/plain"},
                                                        {"ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"},
                                                        {"ce-time", "2018-04-05T03:56:24Z"},
                                                        {"ce-myext", "\"a \\\"b\\\"\""}})));
  EXPECT_EQ(event.event.id(), "1");
  EXPECT_EQ(event.event.source(), "/s");
  EXPECT_EQ(event.event.type(), "t");
  EXPECT_EQ(event.event.subject(), "Euro € 😀");
  EXPECT_EQ(event.event.time(), "2018-04-05T03:56:24Z");
  EXPECT_EQ(event.event.data_content_type(), "text/plain");
  EXPECT_EQ(ExtensionOf(event.event, "myext"), "a \"b\"");
  EXPECT_EQ(event.data, "data");
}

TEST(CloudEventRequestTest, DecodesPercentSignsOnce) {
  EXPECT_EQ(Only(ReadCloudEvents(Binary({{"ce-subject", "100%2525"}}))).event.subject(), "100%25");
  EXPECT_EQ(Only(ReadCloudEvents(Binary({{"ce-subject", "100%zz%4"}}))).event.subject(), "100%zz%4");
  EXPECT_EQ(Only(ReadCloudEvents(Binary({{"ce-subject", "%e2%82%ac"}}))).event.subject(), "€");
}

TEST(CloudEventRequestTest, RefusesAnOverlongForm) {
  EXPECT_THAT(std::string(ReadCloudEvents(Binary({{"ce-subject", "%C0%A0"}})).status().message()),
              HasSubstr("subject"));
}

TEST(CloudEventRequestTest, RefusesADoubledAttributeAndTheContentTypeAsOne) {
  EXPECT_FALSE(ReadCloudEvents(Binary({{"ce-id", "2"}})).ok());
  EXPECT_THAT(std::string(ReadCloudEvents(Binary({{"ce-datacontenttype", "text/plain"}})).status().message()),
              HasSubstr("ce-datacontenttype"));
}

TEST(CloudEventRequestTest, ReadsStructuredMode) {
  WebhookRequest request = Structured(
      R"({"specversion":"1.0","id":"7","source":"#f","type":"t","extinteger":10,"extboolean":true,"subject":null,"data":{"a":1}})");
  request.headers[0].second = "Application/CloudEvents+JSON ; charset=\"UTF-8\"";
  const CloudEvent event = Only(ReadCloudEvents(std::move(request)));
  EXPECT_EQ(event.data, R"({"a":1})");
  EXPECT_EQ(event.event.data_content_type(), "application/json");
  EXPECT_EQ(ExtensionOf(event.event, "extinteger"), "10");
  EXPECT_EQ(ExtensionOf(event.event, "extboolean"), "true");
}

TEST(CloudEventRequestTest, ReadsBytesOutOfBase64) {
  EXPECT_EQ(Only(ReadCloudEvents(Structured(
                     R"({"specversion":"1.0","id":"7","source":"s","type":"t","data_base64":"AAEC/w=="})")))
                .data,
            std::string("\0\1\2\xff", 4));
}

TEST(CloudEventRequestTest, ReadsABatchWhichMayBeEmpty) {
  const auto batch = [](const std::string& json) {
    return ReadCloudEvents(
        Post({{"content-type", "application/cloudevents-batch+json; charset=utf-8"}}, json));
  };
  const std::string one = R"({"specversion":"1.0","id":"1","source":"s","type":"t"})";
  EXPECT_EQ(batch("[]")->events.size(), 0u);
  EXPECT_EQ(batch(absl::StrCat("[", one, ",", one, "]"))->events.size(), 2u);
  EXPECT_THAT(
      std::string(batch(absl::StrCat("[", one, R"(,{"specversion":"0.9","id":"2","source":"s","type":"t"}])"))
                      .status()
                      .message()),
      HasSubstr("event 1 of the batch: attribute specversion"));
  EXPECT_FALSE(batch(absl::StrCat(R"(["not an object",)", one, "]")).ok());
  EXPECT_FALSE(batch(R"([{"specversion":"1.0","type":"t","source":"s"}])").ok());
  EXPECT_FALSE(batch(one).ok());
}

TEST(CloudEventRequestTest, DoesNotUnderstandWhatIsNoCloudEvent) {
  for (const char* type : {"application/json", "text/plain", "", "application/cloudevents+xml",
                           "application/cloudevents+json; charset=utf-16"}) {
    EXPECT_EQ(ReadCloudEvents(Post({{"content-type", type}}, "{}")).status().code(),
              absl::StatusCode::kUnimplemented)
        << type;
  }
  EXPECT_EQ(ReadCloudEvents(Post({{"ce-id", "1"}}, "")).status().code(), absl::StatusCode::kInvalidArgument);
}

// The cases that the conformance suite of CloudEvents lists as invalid events.
TEST(CloudEventRequestTest, RefusesEveryEventThatTheSpecificationForbids) {
  const std::string whole = R"("specversion":"1.0","id":"1","source":"s","type":"t")";
  const std::vector<std::string> wrong = {
      R"("id":"1","source":"s","type":"t")",
      R"("specversion":"1.0","source":"s","type":"t")",
      R"("specversion":"1.0","id":"1","source":"s")",
      R"("specversion":"1.0","id":"1","type":"t")",
      whole + R"(,"time":"lunchtime")",
      whole + R"(,"time":"2018-04-05T18:31Z")",
      whole + R"(,"time":"2018-04-05T18:31:00X")",
      whole + R"(,"time":"2018-04-05T18:31:00+25:00")",
      whole + R"(,"time":"2018-04-05T18:31:00+xx:00")",
      whole + R"(,"time":"2018-04-05T18:31:00+05")",
      R"("specversion":"1.0","id":"","source":"s","type":"t")",
      R"("specversion":"1.0","id":"1","source":"s","type":"")",
      R"("specversion":"1.0","id":"1","source":"","type":"t")",
      R"("specversion":"","id":"1","source":"s","type":"t")",
      R"("specversion":"0.9","id":"1","source":"s","type":"t")",
      whole + R"(,"datacontenttype":"xyz")",
      whole + R"(,"datacontenttype":"")",
      whole + R"(,"dataschema":"")",
      whole + R"(,"subject":"")",
      R"("specversion":"1.0","id":25,"source":"s","type":"t")",
      R"("specversion":"1.0","id":{"xyz":"abc"},"source":"s","type":"t")",
      whole + R"(,"MyExtension":"bad")",
      whole + R"(,"my.extension":"bad")",
      whole + R"(,"myextension":1.5)",
      whole + R"(,"data":"text","data_base64":"eyAieHl6IjogMTIzIH0=")",
  };
  EXPECT_EQ(wrong.size(), 25u);
  for (const std::string& attributes : wrong) {
    const absl::Status status = ReadCloudEvents(Structured("{" + attributes + "}")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << attributes;
  }
  EXPECT_TRUE(ReadCloudEvents(Structured("{" + whole + "}")).ok());
  EXPECT_FALSE(ReadCloudEvents(Structured("{" + whole)).ok());
  EXPECT_FALSE(ReadCloudEvents(Structured(std::string(100'000, '['))).ok());
}

TEST(CloudEventRequestTest, GrantsAHandshakeThatNamesItsOrigin) {
  WebhookRequest request;
  request.headers = {{"webhook-request-origin", "eventemitter.example.com"}, {"webhook-request-rate", "120"}};
  const absl::StatusOr<Notices> granted = AnswerHandshake(request);
  ASSERT_TRUE(granted.ok());
  EXPECT_EQ(granted->answer.status, 200);
  EXPECT_THAT(granted->answer.headers, ::testing::Contains(::testing::Pair("webhook-allowed-rate", "*")));
  EXPECT_THAT(granted->answer.headers,
              ::testing::Contains(::testing::Pair("webhook-allowed-origin", "eventemitter.example.com")));
  EXPECT_FALSE(AnswerHandshake(WebhookRequest()).ok());
}

// ---- services

TEST(ServiceNoticesTest, ReadsWhatGitHubSends) {
  const std::string body =
      R"({"action":"opened","issue":{"url":"https://api.github.com/repos/octocat/Hello-World/issues/1347","number":1347},)"
      R"("repository":{"id":1296269,"full_name":"octocat/Hello-World","url":"https://api.github.com/repos/octocat/Hello-World"},)"
      R"("sender":{"login":"octocat","url":"https://api.github.com/users/octocat"}})";
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"content-type", "application/json"},
      {"x-github-event", "issues"},
      {"x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"}};
  const CloudEvent event = Only(ReadGitHub(Post(headers, body), kNow));
  EXPECT_EQ(event.event.id(), "72d3162e-cc78-11e3-81ab-4c9367dc0958");
  EXPECT_EQ(event.event.type(), "com.github.issues.opened");
  EXPECT_EQ(event.event.source(), "https://api.github.com/repos/octocat/Hello-World");
  EXPECT_EQ(event.event.subject(), "1347");
  EXPECT_EQ(event.event.time(), "2026-01-01T00:00:00Z");
  EXPECT_EQ(event.data, body);
  EXPECT_FALSE(event.event.has_http()) << "headers of signatures stay here";
}

TEST(ServiceNoticesTest, ReadsAPushAndAFormOfGitHub) {
  const CloudEvent event =
      Only(ReadGitHub(Post({{"content-type", "application/x-www-form-urlencoded"},
                            {"x-github-event", "push"},
                            {"x-github-delivery", "1"}},
                           "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22a%22%3A%22b+c%22%7D"),
                      kNow));
  EXPECT_EQ(event.event.type(), "com.github.push");
  EXPECT_EQ(event.event.subject(), "refs/heads/main");
  EXPECT_EQ(event.data, R"({"ref":"refs/heads/main","a":"b c"})");
  EXPECT_EQ(event.event.data_content_type(), "application/json");
}

TEST(ServiceNoticesTest, RefusesWhatGitHubDoesNotSend) {
  EXPECT_FALSE(ReadGitHub(Post({{"x-github-event", "push"}}, "{}"), kNow).ok());
  EXPECT_FALSE(ReadGitHub(Post({{"x-github-delivery", "1"}}, "{}"), kNow).ok());
  EXPECT_FALSE(ReadGitHub(Post({{"x-github-event", "push"}, {"x-github-delivery", "1"}}, "[]"), kNow).ok());
  EXPECT_FALSE(ReadGitHub(Post({{"x-github-event", "push"}, {"x-github-delivery", "1"}}, "no"), kNow).ok());
}

TEST(ServiceNoticesTest, ReadsWhatStripeSends) {
  const CloudEvent event = Only(ReadStripe(
      Post(
          {},
          R"({"id":"evt_1MqqbKLt4dXK03v5qaIbiNCC","object":"event","api_version":"2023-10-16","created":1680064028,
"type":"customer.subscription.updated","data":{"object":{"id":"sub_1Mqqb6","object":"subscription"}},"livemode":false})"),
      kNow));
  EXPECT_EQ(event.event.id(), "evt_1MqqbKLt4dXK03v5qaIbiNCC");
  EXPECT_EQ(event.event.type(), "com.stripe.customer.subscription.updated");
  EXPECT_EQ(event.event.source(), "https://api.stripe.com");
  EXPECT_EQ(event.event.subject(), "sub_1Mqqb6");
  EXPECT_EQ(event.event.time(), "2023-03-29T04:27:08Z");
}

TEST(ServiceNoticesTest, ReadsAThinEventOfStripe) {
  const CloudEvent event = Only(ReadStripe(
      Post({}, R"({"id":"evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0","object":"v2.core.event",
"type":"v1.billing.meter.error_report_triggered","created":"2024-09-17T06:20:52.246Z",
"related_object":{"id":"mtr_test_61R9IeP0SgKbYROOx41PEAQhH0qO23oW","type":"billing.meter"}})"),
      kNow));
  EXPECT_EQ(event.event.time(), "2024-09-17T06:20:52.246Z");
  EXPECT_EQ(event.event.subject(), "mtr_test_61R9IeP0SgKbYROOx41PEAQhH0qO23oW");
}

TEST(ServiceNoticesTest, AnswersTheChallengeOfSlack) {
  const absl::StatusOr<Notices> notices = ReadSlack(
      Post(
          {{"content-type", "application/json"}},
          R"({"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"})"),
      kNow);
  ASSERT_TRUE(notices.ok());
  EXPECT_TRUE(notices->events.empty());
  ASSERT_TRUE(notices->has_answer);
  EXPECT_EQ(notices->answer.status, 200);
  EXPECT_EQ(notices->answer.body, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P");
}

TEST(ServiceNoticesTest, ReadsWhatSlackSends) {
  const CloudEvent event = Only(ReadSlack(
      Post(
          {{"content-type", "application/json"}},
          R"({"type":"event_callback","token":"x","team_id":"T123ABC456","api_app_id":"A1","event":{"type":"app_mention",
"channel":"C123ABC456","text":"hi"},"event_id":"Ev123ABC456","event_time":1515449522})"),
      kNow));
  EXPECT_EQ(event.event.id(), "Ev123ABC456");
  EXPECT_EQ(event.event.type(), "com.slack.app_mention");
  EXPECT_EQ(event.event.source(), "https://slack.com/T123ABC456");
  EXPECT_EQ(event.event.subject(), "C123ABC456");
  EXPECT_EQ(event.event.time(), "2018-01-08T22:12:02Z");
  const CloudEvent command = Only(ReadSlack(Post({{"content-type", "application/x-www-form-urlencoded"}},
                                                 "team_id=T1&command=%2Fdeploy&text=now&trigger_id=13.4"),
                                            kNow));
  EXPECT_EQ(command.event.type(), "com.slack.command");
  EXPECT_EQ(command.event.subject(), "/deploy");
  EXPECT_EQ(command.event.id(), "13.4");
  const CloudEvent action = Only(ReadSlack(Post({{"content-type", "application/x-www-form-urlencoded"}},
                                                "payload=%7B%22type%22%3A%22block_actions%22%2C%22trigger_id%"
                                                "22%3A%221.2%22%2C%22team%22%3A%7B%22id%22%3A%22T9%22%7D%7D"),
                                           kNow));
  EXPECT_EQ(action.event.type(), "com.slack.block_actions");
  EXPECT_EQ(action.event.source(), "https://slack.com/T9");
  EXPECT_EQ(action.event.data_content_type(), "application/json");
}

TEST(ServiceNoticesTest, ReadsWhatStandardWebhooksRecommend) {
  const CloudEvent event = Only(ReadStandard(
      Post(
          {{"content-type", "application/json"},
           {"webhook-id", "msg_1"},
           {"webhook-timestamp", "1674087231"}},
          R"({"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52"}})"),
      "/mayfly/triggers/default/f/t"));
  EXPECT_EQ(event.event.id(), "msg_1");
  EXPECT_EQ(event.event.type(), "contact.created");
  EXPECT_EQ(event.event.source(), "/mayfly/triggers/default/f/t");
  EXPECT_EQ(event.event.time(), "2022-11-03T20:26:10.344522Z");
  const CloudEvent plain =
      Only(ReadStandard(Post({{"webhook-id", "2"}, {"webhook-timestamp", "1674087231"}}, "text"), "/s"));
  EXPECT_EQ(plain.event.type(), "dev.mayfly.webhook");
  EXPECT_EQ(plain.event.time(), "2023-01-19T00:13:51Z");
}

TEST(ServiceNoticesTest, KeepsARequestOfNoKnownServiceWithoutItsSecrets) {
  WebhookRequest request = Post({{"x-request", "7"},
                                 {"authorization", "Bearer s"},
                                 {"cookie", "a"},
                                 {"x-gitlab-token", "s"},
                                 {"x-mac", "s"},
                                 {"content-type", "text/xml"}},
                                "<a/>");
  request.query = "a=b";
  request.path_parameters = {{"tenant", "acme"}};
  const CloudEvent event = Only(ReadGeneric(std::move(request), "/s", "x-request", "x-mac", kNow));
  EXPECT_EQ(event.event.id(), "7");
  EXPECT_EQ(event.event.http().query(), "a=b");
  EXPECT_EQ(event.event.http().headers_size(), 2);
  ASSERT_EQ(event.event.http().path_parameters_size(), 1);
  EXPECT_EQ(event.event.http().path_parameters(0).value(), "acme");
  EXPECT_EQ(event.event.data_content_type(), "text/xml");
  EXPECT_FALSE(ReadGeneric(Post({}, ""), "/s", "x-request", "", kNow).ok());
}

// ---- AWS

constexpr char kS3Record[] =
    R"({"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-west-2","eventTime":"1970-01-01T00:00:00.000Z",
"eventName":"ObjectCreated:Put","responseElements":{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"FMyUVURI"},
"s3":{"s3SchemaVersion":"1.0","bucket":{"name":"amzn-s3-demo-bucket","arn":"arn:aws:s3:::amzn-s3-demo-bucket"},
"object":{"key":"Happy+Face%21.jpg","size":1024,"eTag":"d41d8cd98f00b204e9800998ecf8427e","sequencer":"0055AED6DCD90281E5"}}})";

TEST(AwsNoticesTest, ReadsANoticeOfABucket) {
  const CloudEvent event = Only(ReadS3(absl::StrCat(R"({"Records":[)", kS3Record, "]}")));
  EXPECT_EQ(event.event.type(), "com.amazonaws.s3.ObjectCreated:Put");
  EXPECT_EQ(event.event.source(), "aws:s3.us-west-2.amzn-s3-demo-bucket");
  EXPECT_EQ(event.event.subject(), "Happy Face!.jpg");
  EXPECT_EQ(event.event.time(), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(event.event.id().size(), 32u);
  EXPECT_THAT(event.data, HasSubstr("Happy+Face%21.jpg"));
}

TEST(AwsNoticesTest, TellsTheRecordsOfOneRequestApartAndKnowsOneThatComesAgain) {
  const auto id = [](const std::string& key, const std::string& sequencer) {
    return Only(
               ReadS3(absl::StrCat(
                   R"({"Records":[{"eventName":"ObjectRemoved:Delete","eventSource":"aws:s3","responseElements":{"x-amz-request-id":"1"},
"s3":{"bucket":{"name":"b"},"object":{"key":")",
                   key, R"(","sequencer":")", sequencer, R"("}}}]})")))
        .event.id();
  };
  EXPECT_EQ(id("a", "01"), id("a", "01"));
  EXPECT_NE(id("a", "01"), id("b", "01"));
  EXPECT_NE(id("a", "01"), id("a", "02"));
}

TEST(AwsNoticesTest, ReadsANoticeOfMinio) {
  const CloudEvent event = Only(ReadS3(
      R"({"EventName":"s3:ObjectCreated:Put","Key":"photos/a b.jpg","Records":[{"eventVersion":"2.0","eventSource":"minio:s3","awsRegion":"",
"eventTime":"2026-01-01T00:00:00.000Z","eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"photos"},"object":{"key":"a+b.jpg","eTag":"1"}}}]})"));
  EXPECT_EQ(event.event.type(), "com.amazonaws.s3.ObjectCreated:Put");
  EXPECT_EQ(event.event.source(), "minio:s3.photos");
  EXPECT_EQ(event.event.subject(), "a b.jpg");
}

TEST(AwsNoticesTest, TakesTheTestThatABucketSendsFirstAndHasNothingToTell) {
  const absl::StatusOr<Notices> notices = ReadS3(
      R"({"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b","RequestId":"5582815E1AEA5ADF"})");
  ASSERT_TRUE(notices.ok());
  EXPECT_TRUE(notices->events.empty());
  EXPECT_FALSE(ReadS3("{}").ok());
  EXPECT_THAT(std::string(ReadS3(absl::StrCat(R"({"Records":[)", kS3Record, ",{}]}")).status().message()),
              HasSubstr("Records[1]"));
}

TEST(AwsNoticesTest, ReadsAnEventOfEventBridge) {
  const std::string body =
      R"({"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"EC2 Instance State-change Notification",
"source":"aws.ec2","account":"111122223333","time":"2017-12-22T18:43:48Z","region":"us-west-1",
"resources":["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],"detail":{"state":"terminated"}})";
  const CloudEvent event = Only(ReadEventBridge(body));
  EXPECT_EQ(event.event.id(), "6a7e8feb-b491-4cf7-a9f1-bf3703467718");
  EXPECT_EQ(event.event.source(), "aws.ec2");
  EXPECT_EQ(event.event.type(), "com.amazonaws.events.EC2 Instance State-change Notification");
  EXPECT_EQ(event.event.time(), "2017-12-22T18:43:48Z");
  EXPECT_EQ(event.event.subject(), "arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0");
  EXPECT_EQ(event.data, body);
  EXPECT_FALSE(ReadEventBridge(R"({"id":"1"})").ok());
}

}  // namespace
}  // namespace mayfly::gateway
