#include "operator/reconcilers/trigger_secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/reconcilers/testing/rig.h"

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kPassword[] = "pa55word";

v1::EventTrigger Naming(const std::string& secret) {
  v1::EventTrigger trigger;
  trigger.set_secret_name(secret);
  return trigger;
}

class TriggerSecretsTest : public testing::Test {
 protected:
  std::vector<std::string> Due(const std::set<std::string>& troubled = {}, std::uint64_t version = 0) {
    return secrets_.Due({"login"}, troubled, version, now_);
  }
  // The password that a trigger gets, or why it gets none.
  std::string Filled() {
    v1::EventTrigger trigger = Naming("login");
    const std::string problem = secrets_.Fill(&trigger);
    return problem.empty() ? trigger.secret().at("password") : problem;
  }

  TriggerSecrets secrets_;
  base::MonotonicTime now_{1000s};
};

TEST_F(TriggerSecretsTest, AreReadOnceAMinute) {
  EXPECT_THAT(Due(), ElementsAre("login"));
  EXPECT_THAT(Due(), IsEmpty()) << "it is being read";
  EXPECT_TRUE(secrets_.Pending());
  secrets_.Take("login", SecretData{{"password", kPassword}}, now_);
  EXPECT_FALSE(secrets_.Pending());
  EXPECT_EQ(Filled(), kPassword);
  EXPECT_EQ(secrets_.NextDue(), now_ + 60s);
  now_ += 59s;
  EXPECT_THAT(Due(), IsEmpty());
  now_ += 1s;
  EXPECT_THAT(Due(), ElementsAre("login"));
  EXPECT_FALSE(secrets_.Pending()) << "what was read before counts";
}

TEST_F(TriggerSecretsTest, AreReadWithinSecondsOfAComplaint) {
  Due();
  secrets_.Take("login", SecretData{{"password", kPassword}}, now_);
  now_ += 2s;
  EXPECT_THAT(Due({"login"}), IsEmpty());
  EXPECT_EQ(secrets_.NextDue(), now_ + 3s);
  now_ += 3s;
  EXPECT_THAT(Due({"login"}), ElementsAre("login"));
}

TEST_F(TriggerSecretsTest, AreReadAtOnceWhenTheClusterSaysThatOneHasChanged) {
  Due({}, 1);
  secrets_.Take("login", SecretData{{"password", kPassword}}, now_);
  EXPECT_THAT(Due({}, 1), IsEmpty());
  EXPECT_THAT(Due({}, 2), ElementsAre("login"));
}

TEST_F(TriggerSecretsTest, StayAsTheyWereWhileTheClusterDoesNotAnswer) {
  Due();
  secrets_.Take("login", SecretData{{"password", kPassword}}, now_);
  now_ += 60s;
  Due();
  secrets_.Take("login", absl::UnavailableError("connection refused"), now_);
  EXPECT_EQ(Filled(), kPassword);
}

TEST_F(TriggerSecretsTest, SayWhatIsMissing) {
  Due();
  secrets_.Take("login", absl::UnavailableError("connection refused"), now_);
  EXPECT_EQ(Filled(), "Secret login could not be read yet: connection refused");
  EXPECT_FALSE(secrets_.Known());
  secrets_.Take("login", SecretData{{"password", kPassword}}, now_);
  EXPECT_EQ(Filled(), kPassword);
  secrets_.Take("login", absl::NotFoundError("there is no Secret login"), now_);
  EXPECT_EQ(Filled(), "there is no Secret login");
  EXPECT_TRUE(secrets_.Known());
  EXPECT_EQ(secrets_.NextDue(), now_ + 5s);
}

TEST_F(TriggerSecretsTest, RefuseOneThatIsTooLarge) {
  Due();
  secrets_.Take("login", SecretData{{"password", std::string(kMostSecretBytes, 'x')}}, now_);
  EXPECT_THAT(Filled(), HasSubstr("Secret login has 65544 bytes"));
}

TEST_F(TriggerSecretsTest, ForgetWhatNobodyNames) {
  Due();
  secrets_.Take("login", SecretData{{"password", kPassword}}, now_);
  EXPECT_THAT(secrets_.Due({}, {}, 0, now_), IsEmpty());
  EXPECT_EQ(secrets_.NextDue(), std::nullopt);
  EXPECT_THAT(Filled(), Not(HasSubstr(kPassword)));
}

// The whole reconciler.
class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    rig_.link_.ConfirmAtOnce(true);
    FunctionObject object = rig_.Hello();
    auto function = std::make_shared<Function>(*object.function);
    for (const char* name : {"orders", "nightly"}) {
      Trigger trigger;
      trigger.name = name;
      trigger.event.emplace().message.set_name(name);
      trigger.event->message.mutable_cron()->set_schedule("@daily");
      if (name == std::string("orders")) trigger.event->message.set_secret_name("login");
      function->spec.triggers.push_back(trigger);
    }
    object.function = std::move(function);
    hello_ = object;
  }

  std::vector<std::string> Triggers() const {
    std::vector<std::string> names;
    const v1::FunctionRoute route = rig_.link_.Route(Rig::kKey).value_or(v1::FunctionRoute());
    for (const v1::EventTrigger& trigger : route.triggers()) names.push_back(trigger.name());
    return names;
  }
  std::string Password() const {
    const v1::FunctionRoute route = rig_.link_.Route(Rig::kKey).value_or(v1::FunctionRoute());
    for (const v1::EventTrigger& trigger : route.triggers()) {
      if (trigger.name() == "orders") return trigger.secret().at("password");
    }
    return "";
  }
  // A gateway says that its sources of these get events.
  void HearOf(const std::vector<std::string>& names) {
    v1::GatewayReport report;
    report.set_gateway("gateway-0");
    for (const std::string& name : names) {
      v1::TriggerReport& trigger = *report.add_triggers();
      trigger.set_function(Rig::kKey);
      trigger.set_trigger(name);
    }
    rig_.link_.HandIn(report);
    rig_.Settle();
  }
  Condition Ready() const { return rig_.cluster_.ConditionOf(Rig::kKey, "TriggersReady"); }

  Rig rig_;
  FunctionObject hello_;
};

TEST_F(CredentialsTest, ComeToGatewaysWithTheTriggerThatNamesThem) {
  rig_.cluster_.SetSecret("login", {{"username", "ada"}, {"password", kPassword}});
  rig_.cluster_.Apply(hello_);
  rig_.Settle();
  EXPECT_THAT(Triggers(), ElementsAre("orders", "nightly"));
  EXPECT_EQ(Password(), kPassword);
  EXPECT_EQ(Ready().status, ConditionStatus::kUnknown) << "nobody has said that it gets events";
  EXPECT_EQ(Ready().reason, "SourceStarting");
  EXPECT_THAT(Ready().message, HasSubstr("trigger orders"));
  HearOf({"orders"});
  EXPECT_THAT(Ready().message, HasSubstr("trigger nightly"));
  HearOf({"nightly"});
  EXPECT_EQ(Ready().status, ConditionStatus::kTrue) << Ready().message;
}

TEST_F(CredentialsTest, AreWaitedForBeforeGatewaysHearOfANewOperator) {
  rig_.cluster_.SetSecret("login", {{"password", kPassword}});
  rig_.cluster_.FailWith([](const std::string& call) {
    return call == "GetSecret" ? absl::UnavailableError("away") : absl::OkStatus();
  });
  rig_.cluster_.Apply(hello_);
  rig_.Settle();
  EXPECT_FALSE(rig_.reconciler_.Settled(Rig::kKey))
      << "the trigger must not be taken from gateways that have it";
  rig_.cluster_.FailWith(nullptr);
  rig_.Pass(6);
  EXPECT_TRUE(rig_.reconciler_.Settled(Rig::kKey));
  EXPECT_EQ(Password(), kPassword);
}

TEST_F(CredentialsTest, ThatAreMissingKeepTheirTriggerBackAndNoOther) {
  rig_.cluster_.Apply(hello_);
  rig_.Settle();
  EXPECT_THAT(Triggers(), ElementsAre("nightly"));
  EXPECT_EQ(Ready().status, ConditionStatus::kFalse);
  EXPECT_EQ(Ready().reason, "SourceNotReady");
  EXPECT_EQ(Ready().message, "trigger orders: there is no Secret login in namespace default");
  rig_.cluster_.SetSecret("login", {{"password", kPassword}});
  rig_.Pass(6);
  EXPECT_EQ(Password(), kPassword);
  HearOf({"orders", "nightly"});
  EXPECT_EQ(Ready().status, ConditionStatus::kTrue) << Ready().message;
}

TEST_F(CredentialsTest, ThatChangeTakeEffectWithinAMinute) {
  rig_.cluster_.SetSecret("login", {{"password", "old"}});
  rig_.cluster_.Apply(hello_);
  rig_.Settle();
  const int writes = rig_.cluster_.status_writes();
  rig_.cluster_.SetSecret("login", {{"password", kPassword}});
  rig_.Pass(30);
  EXPECT_EQ(Password(), "old");
  rig_.Pass(31);
  EXPECT_EQ(Password(), kPassword);
  EXPECT_EQ(rig_.cluster_.status_writes(), writes);
  EXPECT_EQ(rig_.cluster_.secret_reads(), 2);
}

TEST_F(CredentialsTest, ThatChangeTakeEffectSoonOnceTheSourceIsRefused) {
  rig_.cluster_.SetSecret("login", {{"password", "old"}});
  rig_.cluster_.Apply(hello_);
  rig_.Settle();
  rig_.cluster_.SetSecret("login", {{"password", kPassword}});
  v1::GatewayReport report;
  report.set_gateway("gateway-0");
  v1::TriggerReport& trigger = *report.add_triggers();
  trigger.set_function(Rig::kKey);
  trigger.set_trigger("orders");
  trigger.set_problem("Authorization Violation");
  rig_.link_.HandIn(report);
  rig_.Pass(6);
  EXPECT_EQ(Password(), kPassword);
}

TEST_F(CredentialsTest, WhoseSecretIsDeletedTakeTheirTriggerAway) {
  rig_.cluster_.SetSecret("login", {{"password", kPassword}});
  rig_.cluster_.Apply(hello_);
  rig_.Settle();
  rig_.cluster_.RemoveSecret("login");
  rig_.Pass(61);
  EXPECT_THAT(Triggers(), ElementsAre("nightly"));
  EXPECT_THAT(Ready().message, HasSubstr("there is no Secret login"));
}

TEST_F(CredentialsTest, AreInNothingThatPeopleSee) {
  rig_.cluster_.SetSecret("login", {{"password", kPassword}});
  rig_.cluster_.Apply(hello_);
  testing::internal::CaptureStderr();
  rig_.ServeOne();
  rig_.Pass(61);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr(kPassword)));
  for (const Condition& condition : rig_.cluster_.Status(Rig::kKey).conditions)
    EXPECT_THAT(condition.message, Not(HasSubstr(kPassword)));
  for (const EventRecord& event : rig_.cluster_.Events())
    EXPECT_THAT(event.message, Not(HasSubstr(kPassword)));
  EXPECT_EQ(Password(), kPassword);
}

TEST_F(CredentialsTest, ThatStayTheSameAreNoNews) {
  rig_.cluster_.SetSecret("login",
                          {{"password", kPassword}, {"username", "ada"}, {"ca.crt", "c"}, {"token", "t"}});
  rig_.cluster_.Apply(hello_);
  rig_.Settle();
  const std::uint64_t version = rig_.link_.version();
  rig_.Pass(200);
  EXPECT_EQ(rig_.link_.version(), version)
      << "the entries of a map have no order, and their bytes must have one";
}

}  // namespace
}  // namespace mayfly::op
