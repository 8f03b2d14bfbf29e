#include "gateway/sources/webhook/signatures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/sources/webhook/mac.h"

namespace mayfly::gateway {
namespace {

using ::testing::HasSubstr;

// From GitHub's documentation of how deliveries are validated.
WebhookRequest GitHubsExample() {
  WebhookRequest request;
  request.body = "Hello, World!";
  request.headers = {
      {"x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}};
  return request;
}
constexpr char kGitHubsSecret[] = "It's a Secret to Everybody";

// From Slack's documentation of how requests are verified.
constexpr char kSlacksSecret[] = "8f742231b10e8888abcd99yyyzzz85a5";
constexpr std::int64_t kSlacksTime = 1531420618;
WebhookRequest SlacksExample() {
  WebhookRequest request;
  request.body =
      "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
      "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
      "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%"
      "2F96rGlfmibIGlgcZRskXaIFfN"
      "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
  request.headers = {
      {"x-slack-request-timestamp", "1531420618"},
      {"x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}};
  return request;
}

// From the tests that the libraries of Standard Webhooks share.
constexpr char kStandardSecret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
constexpr std::int64_t kStandardTime = 1614265330;
WebhookRequest StandardExample() {
  WebhookRequest request;
  request.body = R"({"test": 2432232314})";
  request.headers = {{"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
                     {"webhook-timestamp", "1614265330"},
                     {"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}};
  return request;
}

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

WebhookRequest SignedByStripe(const std::string& secret, std::int64_t at, const std::string& body) {
  WebhookRequest request;
  request.body = body;
  request.headers = {{"stripe-signature",
                      absl::StrCat("t=", at, ",v1=", Hex(HmacSha256(secret, absl::StrCat(at, ".", body))),
                                   ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39")}};
  return request;
}

TEST(SignaturesTest, TakesTheExampleOfGitHub) {
  EXPECT_EQ(VerifyGitHub(GitHubsExample(), {{kGitHubsSecret}}), absl::OkStatus());
}

TEST(SignaturesTest, TakesTheExampleOfSlack) {
  EXPECT_EQ(VerifySlack(SlacksExample(), {{kSlacksSecret}}, kSlacksTime + 10), absl::OkStatus());
}

TEST(SignaturesTest, TakesTheExampleOfStandardWebhooksWithAndWithoutThePrefixOfItsSecret) {
  EXPECT_EQ(VerifyStandard(StandardExample(), {{kStandardSecret}}, kStandardTime), absl::OkStatus());
  EXPECT_EQ(VerifyStandard(StandardExample(), {{kStandardSecret + 6}}, kStandardTime), absl::OkStatus());
}

TEST(SignaturesTest, TakesStandardWebhooksUnderTheNamesBeforeTheStandard) {
  WebhookRequest request = StandardExample();
  for (auto& [name, value] : request.headers) name = "svix" + name.substr(7);
  EXPECT_EQ(VerifyStandard(request, {{kStandardSecret}}, kStandardTime), absl::OkStatus());
}

TEST(SignaturesTest, TakesWhatOneOfSeveralSignaturesFits) {
  WebhookRequest request = StandardExample();
  request.headers[2].second =
      "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,xxx " + request.headers[2].second;
  EXPECT_EQ(VerifyStandard(request, {{kStandardSecret}}, kStandardTime), absl::OkStatus());
}

TEST(SignaturesTest, TakesAnyOfItsSecretsWhileOneReplacesTheOther) {
  EXPECT_EQ(VerifyGitHub(GitHubsExample(), {{"the new one", kGitHubsSecret}}), absl::OkStatus());
  EXPECT_EQ(VerifySlack(SlacksExample(), {{"new", kSlacksSecret}}, kSlacksTime), absl::OkStatus());
  EXPECT_EQ(VerifyStandard(StandardExample(), {{"whsec_bmV3", kStandardSecret}}, kStandardTime),
            absl::OkStatus());
  EXPECT_EQ(VerifyStripe(SignedByStripe("old", 100, "{}"), {{"new", "old"}}, 100), absl::OkStatus());
}

TEST(SignaturesTest, RefusesAChangedByteOfTheBody) {
  WebhookRequest request = GitHubsExample();
  request.body.back() = '?';
  EXPECT_EQ(VerifyGitHub(request, {{kGitHubsSecret}}).code(), absl::StatusCode::kPermissionDenied);
  request = SlacksExample();
  request.body[0] ^= 1;
  EXPECT_EQ(VerifySlack(request, {{kSlacksSecret}}, kSlacksTime).code(), absl::StatusCode::kPermissionDenied);
  request = StandardExample();
  request.body += " ";
  EXPECT_EQ(VerifyStandard(request, {{kStandardSecret}}, kStandardTime).code(),
            absl::StatusCode::kPermissionDenied);
  request = SignedByStripe("s", 100, "{}");
  request.body = "[]";
  EXPECT_EQ(VerifyStripe(request, {{"s"}}, 100).code(), absl::StatusCode::kPermissionDenied);
}

TEST(SignaturesTest, RefusesAnotherSecretAndNone) {
  for (const SigningPolicy& policy : {SigningPolicy{{"another"}}, SigningPolicy{{}}, SigningPolicy{{""}}}) {
    EXPECT_EQ(VerifyGitHub(GitHubsExample(), policy).code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(VerifySlack(SlacksExample(), policy, kSlacksTime).code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(VerifyStandard(StandardExample(), policy, kStandardTime).code(),
              absl::StatusCode::kPermissionDenied);
  }
  WebhookRequest request;
  request.headers = {{"authorization", "Bearer "}};
  EXPECT_FALSE(VerifyToken(request, "authorization", {{""}}).ok());
}

TEST(SignaturesTest, RefusesWhatIsTooOldOrTooNewForItsTolerance) {
  const SigningPolicy policy{{kSlacksSecret}, std::chrono::seconds(60)};
  EXPECT_EQ(VerifySlack(SlacksExample(), policy, kSlacksTime + 60), absl::OkStatus());
  EXPECT_THAT(std::string(VerifySlack(SlacksExample(), policy, kSlacksTime + 61).message()),
              HasSubstr("61 s ago"));
  EXPECT_THAT(std::string(VerifySlack(SlacksExample(), policy, kSlacksTime - 61).message()),
              HasSubstr("61 s ahead"));
  EXPECT_FALSE(VerifyStandard(StandardExample(), {{kStandardSecret}}, kStandardTime + 301).ok());
  EXPECT_FALSE(VerifyStandard(StandardExample(), {{kStandardSecret}}, kStandardTime - 301).ok());
  EXPECT_EQ(VerifyStripe(SignedByStripe("s", 1000, "{}"), {{"s"}}, 1301).code(),
            absl::StatusCode::kPermissionDenied);
}

TEST(SignaturesTest, SaysWhichHeaderIsMissingOrCannotBeRead) {
  const WebhookRequest none;
  EXPECT_THAT(std::string(VerifyGitHub(none, {}).message()), HasSubstr("X-Hub-Signature-256"));
  EXPECT_EQ(VerifyGitHub(none, {}).code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(VerifyStandard(none, {}, 0).message()), HasSubstr("webhook-id"));
  EXPECT_THAT(std::string(VerifySlack(none, {}, 0).message()), HasSubstr("X-Slack-Signature"));
  EXPECT_THAT(std::string(VerifyStripe(none, {}, 0).message()), HasSubstr("Stripe-Signature"));
  WebhookRequest request;
  for (const char* wrong : {"sha1=00", "sha256=xyz", "757107"}) {
    request.headers = {{"x-hub-signature-256", wrong}};
    EXPECT_EQ(VerifyGitHub(request, {{"s"}}).code(), absl::StatusCode::kUnauthenticated) << wrong;
  }
  for (const char* wrong : {"t=,v1=00", "v1=00", "t=1", "t=-1,v1=00", "t=1.5,v1=00", ",,,"}) {
    request.headers = {{"stripe-signature", wrong}};
    EXPECT_EQ(VerifyStripe(request, {{"s"}}, 1).code(), absl::StatusCode::kUnauthenticated) << wrong;
  }
}

TEST(SignaturesTest, TellsNothingOfASecret) {
  const std::string secret = "sesame";
  WebhookRequest request = SlacksExample();
  request.headers.emplace_back("x-token", "guess");
  for (const absl::Status& status :
       {VerifySlack(request, {{secret}}, kSlacksTime), VerifyToken(request, "x-token", {{secret}})})
    EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr(secret)));
}

TEST(SignaturesTest, TakesAnHmacInAnyOfTheUsualForms) {
  const std::string mac = HmacSha256("s", "body");
  for (const std::string& form : {Hex(mac), absl::StrCat("sha256=", Hex(mac)), absl::Base64Escape(mac)}) {
    WebhookRequest request;
    request.body = "body";
    request.headers = {{"x-shopify-hmac-sha256", form}};
    EXPECT_EQ(VerifyHmac(request, "x-shopify-hmac-sha256", {{"s"}}), absl::OkStatus()) << form;
    request.body = "bodi";
    EXPECT_FALSE(VerifyHmac(request, "x-shopify-hmac-sha256", {{"s"}}).ok()) << form;
  }
}

TEST(SignaturesTest, TakesATokenAsItIsAndAfterBearer) {
  WebhookRequest request;
  request.headers = {{"authorization", "Bearer t0k"}, {"x-gitlab-token", "t0k"}};
  EXPECT_EQ(VerifyToken(request, "authorization", {{"t0k"}}), absl::OkStatus());
  EXPECT_EQ(VerifyToken(request, "authorization", {{"Bearer t0k"}}), absl::OkStatus());
  EXPECT_EQ(VerifyToken(request, "x-gitlab-token", {{"t0k"}}), absl::OkStatus());
  EXPECT_EQ(VerifyToken(request, "x-gitlab-token", {{"t0"}}).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(VerifyToken(request, "x-other", {{"t0k"}}).code(), absl::StatusCode::kUnauthenticated);
}

// RFC 8032, section 7.1, test 2.
TEST(SignaturesTest, VerifiesEd25519AsItsRfcHasIt) {
  const std::string key =
      absl::HexStringToBytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const std::string signature = absl::HexStringToBytes(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2e"
      "ae"
      "b4302aeeb00d291612bb0c00");
  EXPECT_TRUE(VerifyEd25519(key, "\x72", signature));
  EXPECT_FALSE(VerifyEd25519(key, "\x73", signature));
  EXPECT_FALSE(VerifyEd25519(key.substr(1), "\x72", signature));
}

TEST(SignaturesTest, TakesStandardWebhooksWithAnAsymmetricSignature) {
  // The private key of the same test.
  const std::string seed =
      absl::HexStringToBytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  const std::string message = "msg_1.1614265330.{}";
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                   reinterpret_cast<const unsigned char*>(seed.data()), seed.size()),
      &EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::string signature(64, '\0');
  std::size_t size = signature.size();
  ASSERT_EQ(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()), 1);
  ASSERT_EQ(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                           reinterpret_cast<const unsigned char*>(message.data()), message.size()),
            1);
  WebhookRequest request;
  request.body = "{}";
  request.headers = {{"webhook-id", "msg_1"},
                     {"webhook-timestamp", "1614265330"},
                     {"webhook-signature", absl::StrCat("v1a,", absl::Base64Escape(signature))}};
  const std::string public_key =
      absl::StrCat("whpk_", absl::Base64Escape(absl::HexStringToBytes(
                                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")));
  EXPECT_EQ(VerifyStandard(request, {{public_key}}, kStandardTime), absl::OkStatus());
  EXPECT_EQ(CheckStandardSecret(public_key), "");
  // A public key is no secret: whoever has it must not be able to sign by it.
  const std::string raw =
      absl::HexStringToBytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  request.headers[2].second = absl::StrCat("v1,", absl::Base64Escape(HmacSha256(raw, message)));
  EXPECT_FALSE(VerifyStandard(request, {{public_key}}, kStandardTime).ok());
}

TEST(SignaturesTest, SaysWhyASecretIsNoneOfStandardWebhooks) {
  EXPECT_EQ(CheckStandardSecret(kStandardSecret), "");
  EXPECT_THAT(CheckStandardSecret("whsk_AAAA"), HasSubstr("private key"));
  EXPECT_THAT(CheckStandardSecret("whpk_AAAA"), HasSubstr("32 bytes"));
  EXPECT_THAT(CheckStandardSecret("whsec_$$$"), HasSubstr("base64"));
  EXPECT_THAT(CheckStandardSecret("whsec_"), HasSubstr("base64"));
}

}  // namespace
}  // namespace mayfly::gateway
