#include "runtime/artifacts/s3_location.h"

#include <gtest/gtest.h>

namespace mayfly::runtime {
namespace {

TEST(S3Location, IsAmazonsHostOfTheBucketWithoutAnEndpoint) {
  const auto location = LocateS3("s3://mods/a/b.so", {{"AWS_REGION", "eu-west-3"}});
  ASSERT_TRUE(location);
  EXPECT_EQ(location->url, "https://mods.s3.eu-west-3.amazonaws.com/a/b.so");
  EXPECT_EQ(location->host, "mods.s3.eu-west-3.amazonaws.com");
  EXPECT_EQ(location->path, "/a/b.so");
}

TEST(S3Location, PutsABucketThatNoCertificateCoversIntoThePath) {
  EXPECT_EQ(LocateS3("s3://my.mods/a.so", {})->url, "https://s3.us-east-1.amazonaws.com/my.mods/a.so");
}

TEST(S3Location, TakesTheEndpointThatIsGiven) {
  const auto location = LocateS3("s3://mods/a b.so", {{"AWS_ENDPOINT_URL", "https://never.example"},
                                                      {"AWS_ENDPOINT_URL_S3", "http://minio:9000/"},
                                                      {"AWS_ACCESS_KEY_ID", "k"},
                                                      {"AWS_SECRET_ACCESS_KEY", "s"}});
  ASSERT_TRUE(location);
  EXPECT_EQ(location->url, "http://minio:9000/mods/a%20b.so");
  EXPECT_EQ(location->host, "minio:9000");
  EXPECT_EQ(location->credentials.access_key, "k");
}

TEST(S3Location, IsNoneForWhatNamesNoObject) {
  for (const char* url : {"s3://", "s3://mods", "s3://mods/", "s3:///a", "https://mods/a", "s3://a@b/c"})
    EXPECT_FALSE(LocateS3(url, {})) << url;
  EXPECT_FALSE(LocateS3("s3://mods/a", {{"AWS_ENDPOINT_URL", "minio:9000"}}));
}

}  // namespace
}  // namespace mayfly::runtime
