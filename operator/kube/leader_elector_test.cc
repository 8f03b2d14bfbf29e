#include "operator/kube/leader_elector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kube/testing/eventually.h"
#include "operator/kube/testing/fake_transport.h"

namespace mayfly::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Eventually;
using ::testing::HasSubstr;

// A server that knows one lease, and does what the test says.
class LeaseServer final : public Transport {
 public:
  absl::StatusOr<HttpResponse> Send(const HttpRequest& request, const TransferOptions&) override {
    const std::lock_guard lock(mutex_);
    ++requests_;
    if (down_) return absl::UnavailableError("connection refused");
    if (request.method == "GET") {
      if (lease_.is_null()) return HttpResponse{.code = 404, .body = "{}"};
      return HttpResponse{.code = 200, .body = lease_.dump()};
    }
    nlohmann::json body = nlohmann::json::parse(request.body);
    const bool creates = request.method == "POST";
    if (creates != lease_.is_null()) return HttpResponse{.code = creates ? 409 : 404, .body = "{}"};
    if (!creates && body["metadata"]["resourceVersion"] != lease_["metadata"]["resourceVersion"]) {
      return HttpResponse{.code = 409, .body = "{}"};
    }
    lease_ = body;
    lease_["metadata"]["resourceVersion"] = std::to_string(++version_);
    return HttpResponse{.code = 200, .body = lease_.dump()};
  }

  void SetDown(bool down) {
    const std::lock_guard lock(mutex_);
    down_ = down;
  }
  void Give(const std::string& holder) {
    const std::lock_guard lock(mutex_);
    lease_["spec"]["holderIdentity"] = holder;
    lease_["metadata"]["resourceVersion"] = std::to_string(++version_);
  }
  std::string holder() {
    const std::lock_guard lock(mutex_);
    return lease_.is_null() ? "" : lease_["spec"]["holderIdentity"].get<std::string>();
  }
  int requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  std::mutex mutex_;
  nlohmann::json lease_;
  int version_ = 0;
  int requests_ = 0;
  bool down_ = false;
};

class LeaderElectorTest : public ::testing::Test {
 protected:
  LeaderElectorOptions Options(const std::string& identity) const {
    return {.space = "a", .name = "op", .identity = identity};
  }
  LeaderCallbacks Callbacks() {
    return {.started = [this](std::int64_t epoch) { epoch_ = epoch; },
            .stopped =
                [this](const std::string& why) {
                  const std::lock_guard lock(mutex_);
                  why_ = why;
                  holder_at_stop_ = server_.holder();
                },
            .observed = {}};
  }
  std::string why() {
    const std::lock_guard lock(mutex_);
    return why_;
  }
  // Lets the fake time pass until `holds`.
  bool Passes(const std::function<bool()>& holds, milliseconds step = milliseconds(200)) {
    return Eventually([&] {
      clock_.Advance(step);
      return holds();
    });
  }

  LeaseServer server_;
  base::Metrics metrics_;
  base::FakeClock clock_;
  Client client_{server_, metrics_, clock_};
  std::atomic<std::int64_t> epoch_ = 0;
  std::mutex mutex_;
  std::string why_;
  std::string holder_at_stop_;
};

TEST_F(LeaderElectorTest, LeadsRenewsAndReleasesOnlyOnceItsWorkHasStopped) {
  LeaderElector elector(client_, Options("me"), Callbacks());
  EXPECT_EQ(elector.epoch(), std::nullopt);
  elector.Start();
  ASSERT_TRUE(Eventually([this] { return epoch_ == 1; }));
  EXPECT_EQ(elector.epoch(), 1);
  const int before = server_.requests();
  EXPECT_TRUE(Passes([&] { return server_.requests() > before + 20; }));
  EXPECT_EQ(elector.epoch(), 1);
  elector.Stop();
  EXPECT_EQ(why(), "it was told to stop");
  EXPECT_EQ(holder_at_stop_, "me");
  EXPECT_EQ(server_.holder(), "");
  EXPECT_EQ(elector.epoch(), std::nullopt);
}

TEST_F(LeaderElectorTest, StepsDownByItsOwnClockWhileTheServerIsAway) {
  LeaderElector elector(client_, Options("me"), Callbacks());
  elector.Start();
  ASSERT_TRUE(Eventually([this] { return epoch_ == 1; }));
  server_.SetDown(true);
  const auto begin = clock_.Now();
  ASSERT_TRUE(Passes([this] { return !why().empty(); }, milliseconds(50)));
  EXPECT_LE(clock_.Now() - begin, seconds(11));
  EXPECT_THAT(why(), HasSubstr("not renewed within the deadline"));
  EXPECT_THAT(metrics_.Text(), HasSubstr("mayfly_kube_leader{lease=\"op\"} 0"));
  // It does not come back by itself, nor does it take from the next leader what it does not hold.
  server_.SetDown(false);
  elector.Stop();
  EXPECT_EQ(server_.holder(), "me");
}

TEST_F(LeaderElectorTest, HasNoEpochFromTheMomentItWakesUpAfterAPause) {
  LeaderElector elector(client_, Options("me"), Callbacks());
  elector.Start();
  ASSERT_TRUE(Eventually([this] { return epoch_ == 1; }));
  clock_.Advance(seconds(60));
  EXPECT_EQ(elector.epoch(), std::nullopt);
  EXPECT_TRUE(Eventually([this] { return !why().empty(); }));
}

TEST_F(LeaderElectorTest, StepsDownWhenAnotherHoldsTheLease) {
  LeaderElector elector(client_, Options("me"), Callbacks());
  elector.Start();
  ASSERT_TRUE(Eventually([this] { return epoch_ == 1; }));
  server_.Give("thief");
  ASSERT_TRUE(Passes([this] { return !why().empty(); }));
  EXPECT_THAT(why(), HasSubstr("taken by \"thief\""));
}

TEST_F(LeaderElectorTest, OutlivesAFailureThatPasses) {
  LeaderElector elector(client_, Options("me"), Callbacks());
  elector.Start();
  ASSERT_TRUE(Eventually([this] { return epoch_ == 1; }));
  server_.SetDown(true);
  const int before = server_.requests();
  ASSERT_TRUE(Passes([&] { return server_.requests() > before + 1; }, milliseconds(50)));
  server_.SetDown(false);
  const int after = server_.requests();
  ASSERT_TRUE(Passes([&] { return server_.requests() > after + 10; }));
  EXPECT_EQ(elector.epoch(), 1);
}

TEST_F(LeaderElectorTest, TakesALapsedLeaseWithAGreaterEpoch) {
  LeaderElector first(client_, Options("first"), {});
  first.Start();
  ASSERT_TRUE(Eventually([&] { return first.epoch() == 1; }));
  server_.Give("crashed");
  LeaderElector second(client_, Options("second"), Callbacks());
  second.Start();
  const auto begin = clock_.Now();
  ASSERT_TRUE(Passes([this] { return epoch_ != 0; }));
  EXPECT_GE(clock_.Now() - begin, seconds(15));
  EXPECT_EQ(epoch_, 2);
  EXPECT_EQ(first.epoch(), std::nullopt);
}

}  // namespace
}  // namespace mayfly::kube
