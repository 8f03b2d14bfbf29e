#include "runtime/artifacts/fetch_order.h"

#include <gtest/gtest.h>

namespace mayfly::runtime {
namespace {

TEST(FetchOrder, IsTheSameOnTheOtherSide) {
  const FetchOrder order{.url = "https://h/a\nb",
                         .sha256 = "ab",
                         .folder = "/f",
                         .cache_bytes = 1,
                         .most_bytes = 2,
                         .credentials_folder = "",
                         .timeout = std::chrono::milliseconds(3),
                         .settings = {{"A", "x=y"}, {"B", ""}}};
  EXPECT_EQ(DecodeFetchOrder(Encode(order)), order);
}

TEST(FetchOrder, IsNothingIfItIsCutOff) {
  FetchOrder order;
  order.url = "https://h/a";
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
