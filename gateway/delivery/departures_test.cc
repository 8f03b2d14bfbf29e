#include "gateway/delivery/departures.h"

#include <gtest/gtest.h>

#include <memory>

namespace mayfly::gateway {
namespace {

struct CountingGate final : Departures::Gate {
  void Depart() override { ++departures; }
  int departures = 0;
};

TEST(Departures, SendOnceWhatWasMadeReadyManyTimes) {
  Departures departures;
  const auto one = std::make_shared<CountingGate>();
  const auto other = std::make_shared<CountingGate>();
  departures.Add(one);
  departures.Add(other);
  departures.Add(one);
  EXPECT_EQ(one->departures, 0) << "nothing leaves before its time";
  departures.SendAll();
  EXPECT_EQ(one->departures, 1);
  EXPECT_EQ(other->departures, 1);
  EXPECT_TRUE(departures.empty());
  departures.SendAll();
  EXPECT_EQ(one->departures, 1);
}

}  // namespace
}  // namespace mayfly::gateway
