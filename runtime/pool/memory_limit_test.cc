#include "runtime/pool/memory_limit.h"

#include <gtest/gtest.h>

namespace mayfly::runtime {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(MemoryLimit, IsAQuarterOfTheMachine) {
  EXPECT_EQ(DefaultWorkerMemoryBytes(8 * kGiB, ""), 2 * kGiB);
  EXPECT_EQ(DefaultWorkerMemoryBytes(8 * kGiB, "max"), 2 * kGiB);
  EXPECT_EQ(DefaultWorkerMemoryBytes(8 * kGiB, "9223372036854771712"), 2 * kGiB);
}

TEST(MemoryLimit, IsAQuarterOfTheContainerWhereThatIsLess) {
  EXPECT_EQ(DefaultWorkerMemoryBytes(8 * kGiB, "1073741824"), kGiB / 4);
}

TEST(MemoryLimit, LeavesRoomToWork) { EXPECT_EQ(DefaultWorkerMemoryBytes(8 * kGiB, "1000000"), kGiB / 16); }

TEST(MemoryLimit, KnowsThisMachine) { EXPECT_GE(DefaultWorkerMemoryBytes(), kGiB / 16); }

}  // namespace
}  // namespace mayfly::runtime
