// What must hold of every kind of source whatever is killed: a whole `mayfly up` with a trigger of the real server. The
// ledger is what the function has seen; what the rig says of its server is what was acknowledged.
//
// A rig has, besides a default constructor that starts its server:
//   kKind             as conditions name the kind
//   kRevoked          part of what the server says to a password that is no longer right
//   kLease            how long an event is the gateway's own unless it is refreshed; 0: as long as its connection
//   kServerForgets    a server that was killed may hand out again what it was told was done
//   kKeepsPlace       the place in the source stays when the function is deleted
//   kUser, kPassword  who the trigger comes as at first
//   Trigger()         the trigger's source, as in `nats: {…, credentials: {secretName: login}}`
//   Ready()           whether what is published from now on comes
//   Publish(count)    that many further events, numbered from 0
//   IsNumber(body, n) whether that is the body of event n
//   Acknowledged()    how many events the server knows to be done with
//   Kill(), Start()   of the server
//   ChangePassword(p) of the trigger's user; those who are connected are put out
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "tests/integration/kept_events.h"
#include "tests/integration/ledger.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly::testing {

template <typename Rig>
class SourceFaultsTest : public KeptEventsTest {
 protected:
  using Json = nlohmann::json;
  static constexpr std::chrono::seconds kWithin{60};

  SourceFaultsTest() {
    std::filesystem::create_directories(temp_ / "f");
    std::filesystem::copy_file(std::filesystem::path(MAYFLY_TEST_MODULE_DIR) / "reports.so",
                               temp_ / "f/reports.so");
    WriteSecret(Rig::kPassword);
    WriteFunction(rig_.Trigger());
  }

  void WriteFunction(const std::string& trigger) {
    base::WriteFile(
        temp_ / "f/orders.yaml",
        absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: orders}\nspec:\n"
                     "  artifact: {path: reports.so}\n  config: {port: ",
                     ledger_.port(),
                     "}\n  concurrency: 8\n  scaling: {maxReplicas: 1}\n"
                     "  retry: {maxAttempts: 2, minBackoff: 20ms, maxBackoff: 50ms}\n  triggers:\n"
                     "  - name: queue\n    ",
                     trigger, "\n"));
  }
  void WriteSecret(const std::string& password) {
    base::WriteFile(
        temp_ / "f/login.yaml",
        absl::StrCat("apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {username: ",
                     Rig::kUser, ", password: ", password, "}\n"));
  }
  void Publish(int count) {
    rig_.Publish(count);
    published_ += count;
  }

  // A `mayfly up` whose trigger gets events.
  std::unique_ptr<RunningMayfly> UpAndReady() {
    auto up = Up();
    EXPECT_TRUE(base::Eventually([&] { return rig_.Ready(); }, kWithin)) << up->err();
    EXPECT_TRUE(AwaitCondition("True")) << up->err();
    return up;
  }
  // … and is killed once the function has done so many.
  void KillOnceDone(RunningMayfly& up, std::size_t count) {
    ASSERT_TRUE(AwaitDone(count));
    Kill(up);
  }
  static void Kill(RunningMayfly& up) {
    up.Signal(SIGKILL);
    up.Wait();
  }
  void HoldAll() {
    ledger_.Decide([](const Ledger::Entry&) { return Ledger::Verdict::kHold; });
  }
  ::testing::AssertionResult AwaitHeld(std::size_t count) {
    if (base::Eventually([&] { return ledger_.held() == count; }, kWithin))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << ledger_.held() << " of " << count << " held";
  }
  ::testing::AssertionResult AwaitDone(std::size_t count) {
    if (base::Eventually([&] { return ledger_.Done().size() >= count; }, kWithin))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << ledger_.Done().size() << " of " << count << " done";
  }
  // Everything that was published was done by the function, and is acknowledged.
  ::testing::AssertionResult AwaitAll() {
    if (auto done = AwaitDone(static_cast<std::size_t>(published_)); !done) return done;
    if (base::Eventually([&] { return rig_.Acknowledged() == published_; }, kWithin))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << rig_.Acknowledged() << " of " << published_ << " acknowledged";
  }
  // Condition TriggersReady, as "False trigger queue: …".
  std::string Condition() {
    const Json function = Json::parse(Run({"get", "orders", "-o", "json"}), nullptr, false);
    for (const Json& each : function["status"]["conditions"]) {
      if (each["type"] == "TriggersReady")
        return absl::StrCat(std::string(each["status"]), " ", std::string(each["message"]));
    }
    return "";
  }
  ::testing::AssertionResult AwaitCondition(std::string_view part) {
    if (base::Eventually([&] { return Condition().find(part) != std::string::npos; }, kWithin))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "TriggersReady is " << Condition();
  }
  // How often an event was done that was done before.
  int Duplicates() const {
    int duplicates = 0;
    for (const auto& [body, count] : ledger_.Done()) duplicates += count - 1;
    return duplicates;
  }
  Json Sum() {
    const Json sums = Json::parse(Run({"events", "--json"}), nullptr, false);
    for (const Json& each : sums["sums"]) {
      if (each["trigger"] == "queue") return each;
    }
    return Json::object();
  }
  // accepted = settled + dead-lettered + pending
  void ExpectConservation() {
    EXPECT_TRUE(base::Eventually([&] { return Sum().value("pending", -1) == 0; }, kWithin)) << Sum().dump();
    const Json sum = Sum();
    EXPECT_EQ(sum.value("accepted", -1),
              sum.value("settled", 0) + sum.value("deadLettered", 0) + sum.value("pending", 0))
        << sum.dump();
  }
  Json Letters() { return Json::parse(Run({"dlq", "list", "--json"}))["letters"]; }
  void ExpectNoPasswordShown(RunningMayfly& up) {
    for (const std::string& shown :
         {up.out(), up.err(), Run({"get", "orders", "-o", "json"}), Run({"events", "--json"})})
      EXPECT_THAT(shown, ::testing::Not(::testing::HasSubstr("pa55word")));
  }
  // How many there were.
  int KillRuntimes() {
    int killed = 0;
    for (const pid_t pid : PidsWith(temp_ / "run")) {
      std::error_code error;
      if (std::filesystem::read_symlink(absl::StrCat("/proc/", pid, "/exe"), error).filename() !=
              "mayfly-runtime" ||
          error)
        continue;
      ::kill(pid, SIGKILL);
      ++killed;
    }
    return killed;
  }

  Ledger ledger_;
  Rig rig_;
  int published_ = 0;
};

TYPED_TEST_SUITE_P(SourceFaultsTest);

TYPED_TEST_P(SourceFaultsTest, LosesNothingWhenTheGatewayIsKilled) {
  constexpr int kKills = 3;
  constexpr int kEvents = 400;
  {
    const auto up = this->UpAndReady();
  }
  this->Publish(kEvents);
  for (int kill = 1; kill <= kKills; ++kill) {
    const auto up = this->Up();
    this->KillOnceDone(*up, static_cast<std::size_t>(kEvents * kill / (kKills + 1)));
  }
  const auto up = this->Up();
  EXPECT_TRUE(this->AwaitAll());
  this->ExpectConservation();
  // A kill brings again what was in flight or whose acknowledgement was on its way; how much that is, the machine decides.
  for (const auto& [body, count] : this->ledger_.Done()) EXPECT_LE(count, 1 + kKills) << body;
  std::cout << "  " << kKills << " kills, " << kEvents << " events, " << this->Duplicates()
            << " of them done twice\n";
}

TYPED_TEST_P(SourceFaultsTest, AcknowledgesWhatHasItsOutcomeAndNothingElse) {
  constexpr int kSettled = 100;
  {
    const auto up = this->UpAndReady();
    this->Publish(kSettled);
    ASSERT_TRUE(this->AwaitAll());
    this->HoldAll();
    this->Publish(8);
    ASSERT_TRUE(this->AwaitHeld(8));
    EXPECT_LE(this->rig_.Acknowledged(), kSettled);
    this->Kill(*up);
  }
  EXPECT_LE(this->rig_.Acknowledged(), kSettled);
  this->ledger_.Decide(nullptr);
  const auto up = this->Up();
  EXPECT_TRUE(this->AwaitAll());
  EXPECT_EQ(this->Duplicates(), 0)
      << "what a dead gateway had was not done, and what was acknowledged never comes again";
}

TYPED_TEST_P(SourceFaultsTest, TriesAgainWhatAKilledRuntimeHad) {
  this->HoldAll();
  const auto up = this->UpAndReady();
  this->Publish(8);
  ASSERT_TRUE(this->AwaitHeld(8));
  this->ledger_.Decide(nullptr);
  ASSERT_GE(this->KillRuntimes(), 1);
  EXPECT_TRUE(this->AwaitAll());
  EXPECT_EQ(this->Duplicates(), 0) << "none of them had its outcome";
  this->ExpectConservation();
}

TYPED_TEST_P(SourceFaultsTest, RunsAHandlerOnceThatTakesLongerThanTheLease) {
  if (TypeParam::kLease.count() == 0) GTEST_SKIP() << "an event of this kind is its connection's";
  this->HoldAll();
  const auto up = this->UpAndReady();
  this->Publish(4);
  ASSERT_TRUE(this->AwaitHeld(4));
  EXPECT_FALSE(base::Eventually([&] { return this->ledger_.entries().size() > 4; }, 3 * TypeParam::kLease));
  this->ledger_.Release();
  EXPECT_TRUE(this->AwaitAll());
  EXPECT_EQ(this->ledger_.entries().size(), 4u);
}

TYPED_TEST_P(SourceFaultsTest, SaysThatItsServerIsAwayAndGoesOnOnceItIsBack) {
  const auto up = this->UpAndReady();
  this->Publish(30);
  ASSERT_TRUE(this->AwaitDone(10));
  this->rig_.Kill();
  EXPECT_TRUE(this->AwaitCondition(absl::StrCat("False trigger queue: ", TypeParam::kKind, ": ")));
  this->rig_.Start();
  EXPECT_TRUE(this->AwaitCondition("True"));
  this->Publish(30);
  EXPECT_TRUE(this->AwaitAll());
  if (!TypeParam::kServerForgets) {
    EXPECT_EQ(this->Duplicates(), 0) << "what was done while it was away is known";
  }
  this->ExpectConservation();
}

TYPED_TEST_P(SourceFaultsTest, TakesCredentialsByThemselvesThatAreRevokedAndReplaced) {
  const auto up = this->UpAndReady();
  this->Publish(5);
  ASSERT_TRUE(this->AwaitAll());
  this->rig_.ChangePassword("second-pa55word");
  EXPECT_TRUE(this->AwaitCondition(TypeParam::kRevoked));
  this->WriteSecret("second-pa55word");
  EXPECT_TRUE(this->AwaitCondition("True"));
  this->Publish(5);
  EXPECT_TRUE(this->AwaitAll());
  this->ExpectNoPasswordShown(*up);
  std::filesystem::remove(this->temp_ / "f/login.yaml");
  EXPECT_TRUE(this->AwaitCondition("there is no Secret login"));
}

TYPED_TEST_P(SourceFaultsTest, MakesAPoisonEventADeadLetterAndGoesOnWithTheOthers) {
  this->ledger_.Decide([&](const Ledger::Entry& entry) {
    return this->rig_.IsNumber(entry.body, 3) ? Ledger::Verdict::kFail : Ledger::Verdict::kDone;
  });
  const auto up = this->UpAndReady();
  this->Publish(10);
  ASSERT_TRUE(this->AwaitDone(9));
  ASSERT_TRUE(base::Eventually([&] { return this->Letters().size() == 1; }, this->kWithin));
  EXPECT_TRUE(base::Eventually([&] { return this->rig_.Acknowledged() == 10; }, this->kWithin));
  this->ExpectConservation();
  this->ledger_.Decide(nullptr);
  this->Run({"dlq", "redrive", std::string(this->Letters()[0]["id"])});
  EXPECT_TRUE(this->AwaitAll());
}

TYPED_TEST_P(SourceFaultsTest, GoesOnWhereItWasAfterItsFunctionIsDeletedAndMadeAgain) {
  if (!TypeParam::kKeepsPlace) GTEST_SKIP() << "what the trigger has made at the server goes with it";
  const auto up = this->UpAndReady();
  this->Publish(5);
  ASSERT_TRUE(this->AwaitAll());
  std::filesystem::rename(this->temp_ / "f/orders.yaml", this->temp_ / "orders.yaml");
  ASSERT_TRUE(base::Eventually(
      [&] { return this->Run({"get", "-o", "json"}).find("\"orders\"") == std::string::npos; },
      this->kWithin));
  this->Publish(5);
  std::filesystem::rename(this->temp_ / "orders.yaml", this->temp_ / "f/orders.yaml");
  EXPECT_TRUE(this->AwaitAll());
  EXPECT_EQ(this->Duplicates(), 0);
}

REGISTER_TYPED_TEST_SUITE_P(SourceFaultsTest, LosesNothingWhenTheGatewayIsKilled,
                            AcknowledgesWhatHasItsOutcomeAndNothingElse, TriesAgainWhatAKilledRuntimeHad,
                            RunsAHandlerOnceThatTakesLongerThanTheLease,
                            SaysThatItsServerIsAwayAndGoesOnOnceItIsBack,
                            TakesCredentialsByThemselvesThatAreRevokedAndReplaced,
                            MakesAPoisonEventADeadLetterAndGoesOnWithTheOthers,
                            GoesOnWhereItWasAfterItsFunctionIsDeletedAndMadeAgain);

}  // namespace mayfly::testing
