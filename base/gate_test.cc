#include "base/gate.h"

#include <gtest/gtest.h>

#include <thread>

namespace mayfly::base {
namespace {

using std::chrono::steady_clock;

TEST(Gate, RefusesWorkOnceClosed) {
  Gate gate;
  EXPECT_TRUE(gate.Enter());
  gate.Close();
  EXPECT_FALSE(gate.Enter());
}

TEST(Gate, WaitsForTheWorkInside) {
  Gate gate;
  auto pass = gate.Enter();
  gate.Close();
  EXPECT_FALSE(gate.WaitUntil(steady_clock::now()));
  std::jthread worker([moved = std::move(pass)]() mutable { Gate::Pass leaving = std::move(moved); });
  EXPECT_TRUE(gate.WaitUntil(steady_clock::now() + std::chrono::seconds(30)));
}

TEST(Gate, AMovedPassLeavesOnce) {
  Gate gate;
  auto first = gate.Enter();
  auto second = std::move(first);
  EXPECT_EQ(gate.inside(), 1u);
  second = Gate::Pass();
  EXPECT_EQ(gate.inside(), 0u);
}

}  // namespace
}  // namespace mayfly::base
