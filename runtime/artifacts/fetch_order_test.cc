#include "runtime/artifacts/fetch_order.h"

#include <gtest/gtest.h>

namespace mayfly::runtime {
namespace {

TEST(FetchOrder, IsTheSameOnTheOtherSide) {
  const FetchOrder order{.source = {.url = "https://h/a\nb", .image = {}},
                         .sha256 = "ab",
                         .folder = "/f",
                         .cache_bytes = 1,
                         .most_bytes = 2,
                         .credentials_folder = "",
                         .timeout = std::chrono::milliseconds(3),
                         .settings = {{"A", "x=y"}, {"B", ""}}};
  EXPECT_EQ(DecodeFetchOrder(Encode(order)), order);
}

TEST(FetchOrder, OfAnImageHasItsLogins) {
  const FetchOrder order{.source = {.url = "",
                                    .image = {.reference = "h/a:1",
                                              .logins = {{.username = "ada", .password = "s"},
                                                         {.identity_token = "i", .registry_token = "r"}},
                                              .ca_certificates = "pem",
                                              .plain_http = true}},
                         .settings = {{"A", "x"}}};
  EXPECT_EQ(DecodeFetchOrder(Encode(order)), order);
  EXPECT_EQ(order.source.Shown(), "the image h/a:1");
}

TEST(FetchOrder, IsNothingIfItIsCutOff) {
  FetchOrder order;
  order.source.url = "https://h/a";
  order.source.image.logins = {{.username = "ada"}};
  std::string text = Encode(order);
  while (!text.empty()) {
    text.pop_back();
    EXPECT_FALSE(DecodeFetchOrder(text));
  }
}

TEST(FetchOrder, ShowsNoSecretsOfAUrl) {
  EXPECT_EQ(ShownUrl("https://ada:secret@h:1/a@b.so?X-Amz-Signature=1"), "https://h:1/a@b.so");
  EXPECT_EQ(ShownUrl("https://ada:secret@h"), "https://h");
  EXPECT_EQ(ShownUrl("s3://mods/a.so"), "s3://mods/a.so");
}

}  // namespace
}  // namespace mayfly::runtime
