// Two gateways, an operator and a PostgreSQL: its trigger has one owner, whoever is killed, stopped or started anew.
//
// The gateways are the program; the operator is its part that speaks to them, with its leases; the function is a replica that
// keeps what it was given.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "gateway/delivery/fake_replica.h"
#include "operator/control/control_server.h"
#include "operator/leases/trigger_leases.h"
#include "operator/reconcilers/lease_publisher.h"
#include "operator/reconcilers/route_table.h"
#include "tests/servers/postgres_test_server.h"

namespace mayfly {
namespace {

using namespace std::chrono_literals;
using base::Eventually;
using gateway::FakeReplica;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kWithin = 60s;
constexpr auto kTakeover = 5s;
constexpr std::uint32_t kSlots = 4;

class GatewayProcess {
 public:
  GatewayProcess(const std::string& folder, const std::string& name, const std::string& op)
      : log_(folder + name) {
    std::vector<std::string> words = {
        MAYFLY_BIN_DIR "/mayfly-gateway", "--operator", op, "--name", name, "--listen", "127.0.0.1:0"};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~GatewayProcess() {
    Signal(SIGKILL);
    Wait();
  }
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;

  void Signal(int signal) const {
    if (pid_ > 0) ::kill(pid_, signal);
  }
  void Wait() {
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  std::string log() const {
    std::ifstream file(log_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

 private:
  const std::string log_;
  pid_t pid_ = -1;
};

// Keeps what gateways were told last of the function's trigger.
class RememberingLink final : public op::GatewayLink {
 public:
  explicit RememberingLink(op::ControlServer& to) : to_(to) {}

  void Publish(const v1::RouteUpdate& update) override {
    {
      const std::lock_guard lock(mutex_);
      told_ = update.upsert(0).triggers(0);
    }
    to_.Publish(update);
  }
  void Open() override { to_.Open(); }
  void Answer(const std::string& gateway, std::uint64_t epoch, const v1::LeaseTerm& term) override {
    to_.Answer(gateway, epoch, term);
  }
  void OnReport(std::function<void(const v1::GatewayReport&)> report) override {
    to_.OnReport(std::move(report));
  }
  v1::EventTrigger told() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  op::ControlServer& to_;
  mutable std::mutex mutex_;
  v1::EventTrigger told_;  // guarded by mutex_
};

// What of an operator gateways see. Its end says nothing to anybody, as that of one which is killed.
class OperatorPart {
 public:
  OperatorPart(const std::string& address, std::uint64_t epoch, const v1::FunctionRoute& route)
      : leases_(Options(epoch), clock_, metrics_) {
    op::ControlServerOptions options;
    options.address = address;
    auto server = op::ControlServer::Start(options, clock_, metrics_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    link_ = std::make_unique<RememberingLink>(*server_);
    routes_ = std::make_unique<op::RouteTable>(*link_, epoch, [](const std::string&) {}, &leases_);
    publisher_ = std::make_unique<op::LeasePublisher>(leases_, *routes_, *link_, nullptr);
    publisher_->Start();
    server_->OnReport([this](const v1::GatewayReport& report) { leases_.Observe(report); });
    routes_->Put(route);
    server_->Open();
  }
  ~OperatorPart() {
    publisher_->Stop();
    server_->OnReport(nullptr);
    server_.reset();
  }

  v1::EventTrigger told() const { return link_->told(); }

 private:
  static op::LeaseOptions Options(std::uint64_t epoch) {
    op::LeaseOptions options;
    options.epoch = epoch;
    return options;
  }

  const base::RealClock clock_;
  base::Metrics metrics_;
  op::TriggerLeases leases_;
  std::unique_ptr<op::ControlServer> server_;
  std::unique_ptr<RememberingLink> link_;
  std::unique_ptr<op::RouteTable> routes_;
  std::unique_ptr<op::LeasePublisher> publisher_;
};

class PostgresTakeoverTest : public ::testing::Test {
 protected:
  PostgresTakeoverTest() : replica_(folder_ / "replica.sock", kSlots) {
    server_.Run("CREATE TABLE orders (id serial PRIMARY KEY, note text)");
    server_.Run("CREATE ROLE ada LOGIN REPLICATION PASSWORD 'pa55word'");
    server_.Run("GRANT CREATE ON DATABASE postgres TO ada");
    server_.Run("ALTER TABLE orders OWNER TO ada");
    replica_.Behave(FakeReplica::Behaviour::kAnswer);
    StartOperator();
    for (const char* name : {"gateway-a", "gateway-b"})
      gateways_[name] = std::make_unique<GatewayProcess>(folder_ / "", name, address_);
    EXPECT_TRUE(Eventually([&] { return Slot("active") == "t" && !Owner().empty(); }, kWithin)) << Logs();
  }

  v1::FunctionRoute Route() const {
    v1::FunctionRoute route;
    route.set_function("default/rows");
    route.set_revision("r");
    route.set_timeout_ms(60'000);
    route.set_concurrency(kSlots);
    route.set_hold_limit(100);
    route.mutable_retry()->set_max_attempts(3);
    v1::Endpoint& endpoint = *route.add_endpoints();
    endpoint.set_replica("replica-0");
    endpoint.set_address(replica_.address());
    endpoint.set_slots(kSlots);
    v1::EventTrigger& trigger = *route.add_triggers();
    trigger.set_name("orders");
    trigger.set_secret_name("login");
    (*trigger.mutable_secret())["username"] = "ada";
    (*trigger.mutable_secret())["password"] = "pa55word";
    v1::PostgresTrigger& postgres = *trigger.mutable_postgres();
    postgres.set_host("127.0.0.1");
    postgres.set_port(static_cast<std::uint32_t>(server_.port()));
    postgres.set_database("postgres");
    postgres.add_tables()->set_name("public.orders");
    return route;
  }
  void StartOperator() { operator_ = std::make_unique<OperatorPart>(address_, ++epoch_, Route()); }

  std::string Owner() { return operator_->told().owner(); }
  std::string Other() { return Owner() == "gateway-a" ? "gateway-b" : "gateway-a"; }
  std::string Slot(const std::string& what) {
    return server_.Ask(absl::StrCat("SELECT ", what, " FROM pg_replication_slots"));
  }
  // Who reads the slot, as the server knows it: mayfly-EPOCH-PROCESS.
  std::string Reader() {
    return server_.Ask(
        "SELECT coalesce(max(a.application_name), '') FROM pg_replication_slots s JOIN pg_stat_activity a ON "
        "a.pid = "
        "s.active_pid");
  }
  bool ReaderHasEpoch(std::uint64_t epoch) {
    return Reader().starts_with(absl::StrCat("mayfly-", epoch, "-"));
  }
  void Publish(int count) {
    for (int i = 0; i < count; ++i) {
      server_.Run(absl::StrCat("INSERT INTO orders (note) VALUES ('<", ++published_, ">')"));
    }
  }
  // How often the function was given a row.
  int Given(int row) const {
    const std::string body = replica_.seen().body;
    const std::string note = absl::StrCat("<", row, ">");
    int count = 0;
    for (std::size_t at = body.find(note); at != std::string::npos; at = body.find(note, at + 1)) ++count;
    return count;
  }
  int Missing() const {
    int missing = 0;
    for (int row = 1; row <= published_; ++row) missing += Given(row) == 0 ? 1 : 0;
    return missing;
  }
  int Duplicates() const {
    int duplicates = 0;
    for (int row = 1; row <= published_; ++row) duplicates += std::max(0, Given(row) - 1);
    return duplicates;
  }
  ::testing::AssertionResult AwaitAll() {
    // All of it was given, and the server knows that it is done.
    const std::string last = server_.Ask("SELECT pg_current_wal_lsn()");
    if (Eventually(
            [&] {
              return Missing() == 0 && Slot(absl::StrCat("confirmed_flush_lsn >= '", last, "'")) == "t";
            },
            kWithin))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << Missing() << " of " << published_ << " missing\n" << Logs();
  }
  std::string Logs() const {
    std::string logs;
    for (const auto& [name, gateway] : gateways_) logs += absl::StrCat(name, ":\n", gateway->log());
    return logs;
  }

  base::TempDir folder_;
  testing::PostgresTestServer server_;
  FakeReplica replica_;
  const std::string address_ = "unix:" + (folder_ / "operator.sock");
  std::uint64_t epoch_ = 0;
  std::unique_ptr<OperatorPart> operator_;
  std::map<std::string, std::unique_ptr<GatewayProcess>> gateways_;
  int published_ = 0;
};

TEST_F(PostgresTakeoverTest, GivesTheTriggerOfAKilledGatewayToTheOther) {
  Publish(50);
  ASSERT_TRUE(AwaitAll());
  EXPECT_EQ(Duplicates(), 0);
  const std::string owner = Owner();
  const std::string other = Other();
  replica_.Behave(FakeReplica::Behaviour::kWait);
  Publish(20);
  ASSERT_TRUE(replica_.WaitFor([](const FakeReplica::Seen& seen) { return seen.running == kSlots; }))
      << Logs();
  gateways_[owner]->Signal(SIGKILL);
  const auto killed = SteadyClock::now();
  replica_.Behave(FakeReplica::Behaviour::kAnswer);
  ASSERT_TRUE(
      Eventually([&] { return Owner() == other && ReaderHasEpoch(operator_->told().epoch()); }, kWithin))
      << Logs();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - killed);
  EXPECT_LE(took, kTakeover);
  EXPECT_TRUE(AwaitAll());
  EXPECT_EQ(Duplicates(), static_cast<int>(kSlots)) << "what ran when it was killed, and nothing else";
  std::cout << "  taken over after " << took.count() << " ms, " << Duplicates() << " of " << published_
            << " rows given twice\n";
}

TEST_F(PostgresTakeoverTest, RefusesWhatAGatewayDoesLateThatStoodStill) {
  Publish(20);
  ASSERT_TRUE(AwaitAll());
  const std::string owner = Owner();
  const std::string other = Other();
  replica_.Behave(FakeReplica::Behaviour::kWait);
  Publish(20);
  ASSERT_TRUE(replica_.WaitFor([](const FakeReplica::Seen& seen) { return seen.running == kSlots; }))
      << Logs();
  gateways_[owner]->Signal(SIGSTOP);
  const auto stopped = SteadyClock::now();
  replica_.Behave(FakeReplica::Behaviour::kAnswer);
  ASSERT_TRUE(
      Eventually([&] { return Owner() == other && ReaderHasEpoch(operator_->told().epoch()); }, kWithin))
      << Logs();
  EXPECT_LE(SteadyClock::now() - stopped, kTakeover);
  const std::string reader = Reader();
  EXPECT_TRUE(AwaitAll());
  EXPECT_EQ(Duplicates(), static_cast<int>(kSlots));
  // Its results lie ready for the one that stands still: it will find them when it goes on.
  replica_.Release(kSlots);
  EXPECT_FALSE(
      Eventually([&] { return Reader() != reader; },
                 std::chrono::duration_cast<std::chrono::milliseconds>(stopped + 10s - SteadyClock::now())));
  gateways_[owner]->Signal(SIGCONT);
  Publish(20);
  EXPECT_FALSE(Eventually([&] { return Reader() != reader; }, 3s)) << "the old owner has the slot again\n"
                                                                   << Logs();
  EXPECT_TRUE(AwaitAll());
  EXPECT_EQ(Owner(), other);
  // As many again as run are held in front of the replicas: what it had begun may still run, and nothing else.
  EXPECT_LE(Duplicates(), static_cast<int>(2 * kSlots)) << Logs();
  std::cout << "  " << Duplicates() << " of " << published_ << " rows given twice\n";
}

TEST_F(PostgresTakeoverTest, GoesOnWithoutAnOperatorAndIsLeftWhereItIsByTheNext) {
  Publish(20);
  ASSERT_TRUE(AwaitAll());
  const std::string owner = Owner();
  const std::uint64_t epoch = operator_->told().epoch();
  const std::string reader = Reader();
  operator_.reset();
  // Longer than a term.
  const auto until = SteadyClock::now() + 4s;
  while (SteadyClock::now() < until) {
    Publish(5);
    ASSERT_TRUE(AwaitAll());
  }
  StartOperator();
  ASSERT_TRUE(Eventually([&] { return Owner() == owner; }, kWithin)) << Logs();
  EXPECT_EQ(operator_->told().epoch(), epoch);
  Publish(20);
  // Nor does it go anywhere once the new one may give out what nobody has.
  EXPECT_FALSE(Eventually([&] { return Reader() != reader || Owner() != owner; }, 4s)) << Logs();
  EXPECT_TRUE(AwaitAll());
  EXPECT_EQ(Duplicates(), 0);
}

TEST_F(PostgresTakeoverTest, HandsTheTriggerOnWhenAGatewayEndsInOrder) {
  Publish(20);
  ASSERT_TRUE(AwaitAll());
  const std::string owner = Owner();
  const std::string other = Other();
  gateways_[owner]->Signal(SIGTERM);
  Publish(20);
  ASSERT_TRUE(Eventually([&] { return Owner() == other; }, kTakeover)) << Logs();
  gateways_[owner]->Wait();
  Publish(20);
  EXPECT_TRUE(AwaitAll());
  EXPECT_EQ(Duplicates(), 0) << "what it has begun it has also ended";
}

}  // namespace
}  // namespace mayfly
