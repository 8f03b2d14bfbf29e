// What an Activator has written down of what invocations cost.
#include <gmock/gmock.h>

#include <map>

#include "gateway/activation/activator_fixture.h"
#include "gateway/metering/usage_record.h"

namespace mayfly::gateway {
namespace {

using ::testing::HasSubstr;
using Behaviour = FakeReplica::Behaviour;
using Seen = FakeReplica::Seen;
using UsageTest = ActivatorTest;

// A sink in memory.
class Records final : public UsageSink {
 public:
  explicit Records(std::string& text) : text_(text) {}
  absl::Status Append(const std::string& lines) override {
    text_ += lines;
    return absl::OkStatus();
  }

 private:
  std::string& text_;
};

TEST_F(UsageTest, RecordsWhatInvocationsCostByTheirTrigger) {
  std::string records;
  activator_->RecordUsage(std::make_unique<Records>(records));
  AddReplica(1);
  ASSERT_TRUE(Route({0}).ok());
  for (const char* trigger : {"http", "http", "hook"}) {
    Call call = Begin("one", "hello", true, 10'000, trigger);
    ASSERT_TRUE(call.sink->WaitDone());
  }
  ASSERT_TRUE(activator_->WriteUsage().ok());
  activator_->Stop(clock_.Now());  // nobody writes any more
  UsageSums sum;
  std::map<std::string, std::uint64_t> invocations;
  for (std::size_t begin = 0; begin < records.size(); begin = records.find('\n', begin) + 1) {
    const auto record = ParseUsageRecord(records.substr(begin, records.find('\n', begin) - begin));
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(record->function, "test/echo");
    EXPECT_EQ(record->gateway, "gateway-0");
    invocations[record->trigger] += record->sums.invocations;
    sum += record->sums;
  }
  EXPECT_EQ(invocations, (std::map<std::string, std::uint64_t>{{"hook", 1}, {"http", 2}}));
  EXPECT_EQ(sum.wall_us, 3 * FakeReplica::kWallUs);
  EXPECT_EQ(sum.cpu_us, 3 * FakeReplica::kCpuUs);
}

TEST_F(UsageTest, RecordsWhatEndsAfterItsFunctionHasGone) {
  std::string records;
  activator_->RecordUsage(std::make_unique<Records>(records));
  FakeReplica& replica = AddReplica(1);
  replica.Behave(Behaviour::kWait);
  ASSERT_TRUE(Route({0}).ok());
  Call call = Begin("late", "hello", true, 10'000, "http");
  ASSERT_TRUE(replica.WaitFor([](const Seen& seen) { return seen.started.size() == 1; }));
  ASSERT_TRUE(RemoveFunction().ok());
  call.handle->Cancel();
  ASSERT_TRUE(call.sink->WaitDone());
  activator_->Stop(clock_.Now());
  EXPECT_THAT(records, HasSubstr(R"("trigger":"http","invocations":1,)"));
}

}  // namespace
}  // namespace mayfly::gateway
