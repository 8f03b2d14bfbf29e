#include "runtime/artifacts/aws_signature.h"

#include <gmock/gmock.h>

namespace mayfly::runtime {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::chrono::system_clock::time_point kTime{std::chrono::seconds(1369353600)};  // 2013-05-24

// The example "GET Object" of Amazon's documentation of the signature.
TEST(AwsSignature, IsTheOneOfAmazonsExample) {
  const auto headers =
      SignS3Get({"examplebucket.s3.amazonaws.com", "/test.txt", "bytes=0-9"},
                {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""}, "us-east-1", kTime);
  EXPECT_THAT(headers,
              Contains("authorization: AWS4-HMAC-SHA256 "
                       "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                       "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
                       "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
}

TEST(AwsSignature, CarriesTheTokenOfTemporaryCredentials) {
  const auto headers = SignS3Get({"h", "/b/k", ""}, {"a", "s", "tok"}, "eu-west-3", kTime);
  EXPECT_THAT(headers, Contains("x-amz-security-token: tok"));
  EXPECT_THAT(headers, Contains(HasSubstr("x-amz-date;x-amz-security-token")));
}

TEST(AwsSignature, SignsNothingWithoutCredentials) {
  EXPECT_THAT(SignS3Get({"h", "/b/k", ""}, {}, "r", kTime), IsEmpty());
}

TEST(AwsSignature, EncodesWhatIsNotPlainInAKey) {
  EXPECT_EQ(EncodeS3Path("/in/a b+c~\xc3\xa9.so"), "/in/a%20b%2Bc~%C3%A9.so");
}

}  // namespace
}  // namespace mayfly::runtime
