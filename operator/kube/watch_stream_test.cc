#include "operator/kube/watch_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/api_error.h"

namespace mayfly::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kTwo =
    "{\"type\":\"ADDED\",\"object\":{\"n\":1}}\n"
    "{\"type\":\"DELETED\",\"object\":{\"n\":2}}\n";

class WatchStreamTest : public ::testing::Test {
 protected:
  absl::Status Feed(std::string_view bytes) {
    return stream_.Feed(bytes,
                        [this](const WatchEvent& event) { seen_.push_back(event.object["n"].Integer()); });
  }

  WatchStream stream_;
  std::vector<std::int64_t> seen_;
};

TEST_F(WatchStreamTest, ReadsEventsHoweverTheNetworkCutsThem) {
  for (std::size_t piece = 1; piece < kTwo.size(); ++piece) {
    for (std::size_t at = 0; at < kTwo.size(); at += piece) ASSERT_TRUE(Feed(kTwo.substr(at, piece)).ok());
    EXPECT_THAT(std::exchange(seen_, {}), ElementsAre(1, 2)) << piece;
    EXPECT_TRUE(stream_.Finish().ok());
  }
}

TEST_F(WatchStreamTest, SaysWhenTheConnectionEndedWithinAnEvent) {
  ASSERT_TRUE(Feed(kTwo.substr(0, kTwo.size() - 5)).ok());
  EXPECT_THAT(seen_, ElementsAre(1));
  EXPECT_TRUE(absl::IsUnavailable(stream_.Finish()));
}

TEST_F(WatchStreamTest, MakesAnErrorEventItsStatus) {
  const absl::Status status =
      Feed(R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}})"
           "\n");
  EXPECT_TRUE(IsExpired(status)) << status;
}

TEST_F(WatchStreamTest, RefusesAnEventThatIsNoneButKeepsWhatCameBefore) {
  EXPECT_THAT(std::string(Feed(std::string(kTwo) + "{\"type\":\"NEW\",\"object\":{}}\n").message()),
              HasSubstr("unknown type \"NEW\""));
  EXPECT_THAT(seen_, ElementsAre(1, 2));
  WatchStream other;
  const auto ignore = [](const WatchEvent&) {};
  EXPECT_FALSE(other.Feed("nonsense\n", ignore).ok());
  EXPECT_FALSE(WatchStream().Feed("{\"type\":\"ADDED\"}\n", ignore).ok());
}

TEST_F(WatchStreamTest, BoundsALineWithoutAnEnd) {
  const std::string piece(1u << 20, 'x');
  absl::Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) status = Feed(piece);
  EXPECT_TRUE(absl::IsResourceExhausted(status));
}

}  // namespace
}  // namespace mayfly::kube
