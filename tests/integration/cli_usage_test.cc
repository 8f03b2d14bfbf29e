// What is billed: the usage records, the counters and what clients were told are one sum, whatever dies meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly {
namespace {

using base::Eventually;
using base::TempDir;
using base::WriteFile;
using ::testing::HasSubstr;
using testing::PidsWith;
using testing::Ran;
using testing::RunMayfly;
using testing::RunningMayfly;
namespace fs = std::filesystem;

struct Sums {
  std::int64_t invocations = 0;
  std::int64_t wall_us = 0;
  std::int64_t cpu_us = 0;

  bool operator==(const Sums&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Sums& sums) {
    return out << sums.invocations << " invocations, " << sums.wall_us << " µs wall, " << sums.cpu_us
               << " µs CPU";
  }
};

// By function and trigger.
using Bill = std::map<std::pair<std::string, std::string>, Sums>;

// "12.345" milliseconds.
std::int64_t Microseconds(const std::string& milliseconds) {
  const std::vector<std::string> parts = absl::StrSplit(milliseconds, '.');
  std::int64_t whole = 0;
  std::int64_t rest = 0;
  EXPECT_TRUE(parts.size() == 2 && absl::SimpleAtoi(parts[0], &whole) && absl::SimpleAtoi(parts[1], &rest))
      << milliseconds;
  return whole * 1000 + rest;
}

class CliUsageTest : public ::testing::Test {
 protected:
  CliUsageTest() {
    space_ = absl::StrCat("u", ::getpid());
    for (const auto& [name, module] :
         {std::pair("echo", "echo_plain"), std::pair("spins", "spins"), std::pair("segv", "segv")}) {
      fs::create_directories(temp_ / "f");
      fs::copy_file(fs::path(MAYFLY_TEST_MODULE_DIR) / absl::StrCat(module, ".so"),
                    temp_ / absl::StrCat("f/", name, ".so"));
      WriteFile(temp_ / absl::StrCat("f/", name, ".yaml"),
                absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: ", name,
                             ", namespace: ", space_, "}\nspec:\n  artifact: {path: ", name,
                             ".so}\n  timeout: 10s\n  scaling: {minReplicas: 1, maxReplicas: 1}\n  "
                             "triggers:\n  - {name: front, http: {path: /",
                             name, "}}\n  - {name: side, http: {path: /side/", name, "}}\n"));
    }
  }
  void Up() {
    mayfly_ = std::make_unique<RunningMayfly>(
        temp_ / "run",
        std::vector<std::string>{"up", "--port", absl::StrCat(port_), "--data", temp_ / "data", temp_ / "f"});
    ASSERT_TRUE(mayfly_->WaitUntilReady()) << mayfly_->out() << mayfly_->err();
    port_ = mayfly_->port();
  }

  // Asks `path`, and notes what the answer says that it cost. Returns the status.
  int Ask(httplib::Client& client, const std::string& path, const std::string& function,
          const std::string& trigger) {
    const httplib::Result result = client.Get(path.c_str(), {{"Mayfly-Metering", "true"}});
    ++answered_;
    answered_.notify_all();
    if (!result) return 0;
    if (!result->has_header("Mayfly-Wall-Ms")) return result->status;
    const std::lock_guard lock(mutex_);
    Sums& sums = told_[{function, trigger}];
    ++sums.invocations;
    sums.wall_us += Microseconds(result->get_header_value("Mayfly-Wall-Ms"));
    sums.cpu_us += Microseconds(result->get_header_value("Mayfly-Cpu-Ms"));
    return result->status;
  }
  // `rounds` of requests on each of four connections: two functions, by two triggers and by name; one crashes each time.
  void Load(int rounds) {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([this, rounds] {
        httplib::Client client(mayfly_->url());
        client.set_read_timeout(30);
        client.set_keep_alive(true);
        const std::string by_name = absl::StrCat("/_mayfly/functions/", space_, "/echo");
        for (int k = 0; k < rounds; ++k) {
          Ask(client, "/spins?ms=1", "spins", "front");
          Ask(client, "/side/echo", "echo", "side");
          Ask(client, by_name, "echo", "");
          Ask(client, "/segv", "segv", "front");
        }
      });
    }
  }

  // What `mayfly usage` adds up.
  Bill Recorded(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"usage", "-o", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Ran ran = RunMayfly(temp_ / "run", arguments);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    const auto json = nlohmann::json::parse(ran.out, nullptr, false);
    Bill bill;
    for (const auto& row : json.value("usage", nlohmann::json::array())) {
      EXPECT_EQ(row["namespace"], space_);
      bill[{row["function"], row["trigger"]}] = {row["invocations"],
                                                 std::llround(row["wallMilliseconds"].get<double>() * 1e3),
                                                 std::llround(row["cpuMilliseconds"].get<double>() * 1e3)};
    }
    return bill;
  }
  // What lies in the files, without asking anybody.
  Bill OnDisk() { return Recorded({"--records", temp_ / "data/usage"}); }

  // What `all` has beyond `some`.
  static Bill Less(Bill all, const Bill& some) {
    for (const auto& [key, sums] : some) {
      all[key].invocations -= sums.invocations;
      all[key].wall_us -= sums.wall_us;
      all[key].cpu_us -= sums.cpu_us;
    }
    std::erase_if(all, [](const auto& each) { return each.second == Sums(); });
    return all;
  }

  // The counters of this process.
  Bill Counted() {
    httplib::Client client(temp_ / absl::StrCat("run/", port_, "/api.sock"));
    client.set_address_family(AF_UNIX);
    const httplib::Result result = client.Get("/metrics");
    EXPECT_TRUE(result);
    Bill bill;
    const std::vector<std::string> lines = absl::StrSplit(result ? result->body : std::string(), '\n');
    for (const std::string& line : lines) {
      for (const auto& [name, field, unit] :
           {std::tuple("mayfly_usage_invocations_total", &Sums::invocations, 1.0),
            std::tuple("mayfly_usage_wall_seconds_total", &Sums::wall_us, 1e6),
            std::tuple("mayfly_usage_cpu_seconds_total", &Sums::cpu_us, 1e6)}) {
        const std::string begin = absl::StrCat(name, "{function=\"", space_, "/");
        if (line.rfind(begin, 0) != 0) continue;
        const std::vector<std::string> parts = absl::StrSplit(line, absl::ByAnyChar("\"/ "));
        double value = 0;
        EXPECT_TRUE(absl::SimpleAtod(parts.back(), &value)) << line;
        // name{function= SPACE FUNCTION ,trigger= TRIGGER } VALUE
        bill[{parts[2], parts[4]}].*field = std::llround(value * unit);
      }
    }
    std::erase_if(bill, [](const auto& each) { return each.second.invocations == 0; });
    return bill;
  }

  const TempDir temp_;
  std::string space_;
  int port_ = 0;
  std::unique_ptr<RunningMayfly> mayfly_;
  std::atomic<int> answered_{0};
  std::mutex mutex_;
  Bill told_;  // guarded by mutex_
};

// To the microsecond: what is added up is what each client was told.
TEST_F(CliUsageTest, RecordsCountersAndWhatClientsWereToldAreOneSum) {
  Up();
  Load(25);
  EXPECT_GT((told_[{"segv", "front"}].invocations), 0) << "a crash is billed";
  EXPECT_EQ(Counted(), told_);
  EXPECT_EQ(Recorded(), told_);
  EXPECT_EQ(OnDisk(), told_);
  // A second process' records come on top.
  mayfly_->Signal(SIGTERM);
  ASSERT_EQ(mayfly_->Wait(), 0);
  Up();
  Load(5);
  EXPECT_EQ(Recorded(), told_);
  const Bill of_this_process = Counted();
  EXPECT_LT((of_this_process.at({"spins", "front"}).invocations), (told_[{"spins", "front"}].invocations));
}

TEST_F(CliUsageTest, StaysOneSumWhileWorkersAndRuntimesAreKilled) {
  Up();
  std::atomic<bool> done{false};
  std::atomic<int> kills{0};
  std::jthread killer([&] {
    constexpr int kRequestsBetween = 8;
    constexpr int kRuntimeEach =
        32;  // of these kills one: a replica that dies again and again is replaced ever later
    for (int turn = 1; !done; ++turn) {
      for (int seen = answered_; !done && seen < turn * kRequestsBetween; seen = answered_)
        answered_.wait(seen);
      const std::string whom = turn % kRuntimeEach == 0 ? "mayfly-runtime" : "mayfly-worker";
      for (const pid_t pid : PidsWith(whom)) {
        // Of this test's alone.
        std::ifstream file(absl::StrCat("/proc/", pid, "/cmdline"));
        const std::string line{std::istreambuf_iterator<char>(file), {}};
        if (line.find(space_) == std::string::npos && line.find(temp_.path()) == std::string::npos) continue;
        if (::kill(pid, SIGKILL) == 0) ++kills;
        break;
      }
    }
  });
  Load(40);
  done = true;
  ++answered_;
  answered_.notify_all();
  killer.join();
  EXPECT_GT(kills, 0);
  EXPECT_EQ(Counted(), told_);
  EXPECT_EQ(Recorded(), told_);
}

TEST_F(CliUsageTest, AKillOfMayflyUpLosesNoMoreThanTheLastSecond) {
  for (int round = 0; round < 3; ++round) {
    Up();
    const Bill old = round == 0 ? Bill() : OnDisk();
    told_.clear();
    Load(5);
    // Nobody asks for it: it is there by itself.
    Bill written;
    ASSERT_TRUE(Eventually([&] { return (written = Less(OnDisk(), old)) == told_; }));
    Load(1);
    mayfly_->Signal(SIGKILL);
    ASSERT_EQ(mayfly_->Wait(), -SIGKILL);
    // Every record that was there is there, and none counts twice.
    for (const auto& [key, sums] : Less(OnDisk(), old)) {
      EXPECT_GE(sums.wall_us, written[key].wall_us);
      EXPECT_LE(sums.wall_us, told_[key].wall_us);
      EXPECT_LE(sums.invocations, told_[key].invocations);
    }
  }
}

TEST_F(CliUsageTest, TellsTenantsApartAndKnowsSinceWhen) {
  Up();
  Load(2);
  const Ran table = RunMayfly(temp_ / "run", {"usage", "--by", "namespace"});
  EXPECT_THAT(table.out, HasSubstr("NAMESPACE"));
  EXPECT_THAT(table.out, HasSubstr(space_));
  EXPECT_THAT(RunMayfly(temp_ / "run", {"usage", absl::StrCat(space_, "/echo")}).out, HasSubstr("(by name)"));
  EXPECT_THAT(RunMayfly(temp_ / "run", {"usage", "--since", "2999-01-01"}).out,
              HasSubstr("Nothing was used."));
  const Ran wrong = RunMayfly(temp_ / "run", {"usage", "--since", "yesterday"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("--since yesterday is no time: say 90m"));
  EXPECT_EQ(RunMayfly(temp_ / "run", {"usage", "--records", temp_ / "none"}).exit_code, 4);
}

TEST_F(CliUsageTest, RecordsAreReadOutOfLogs) {
  Up();
  Load(2);
  Recorded();  // has them written
  std::string logs = "time=2026-03-01T12:00:00Z level=info msg=ready\n";
  for (const auto& entry : fs::directory_iterator(temp_ / "data/usage")) {
    std::ifstream file(entry.path());
    logs += std::string{std::istreambuf_iterator<char>(file), {}};
  }
  const Ran once = RunMayfly(temp_ / "run", {"usage", "--records", "-"}, "", logs);
  EXPECT_EQ(once.exit_code, 0) << once.err;
  EXPECT_EQ(once.out, RunMayfly(temp_ / "run", {"usage"}).out);
  EXPECT_EQ(RunMayfly(temp_ / "run", {"usage", "--records", "-"}, "", logs + logs).out, once.out)
      << "a collector may deliver a line twice";
}

TEST_F(CliUsageTest, TopShowsTheBusiestFunctionFirst) {
  Up();
  std::atomic<bool> done{false};
  std::jthread load([&] {
    while (!done) Load(1);
  });
  const Ran ran = RunMayfly(temp_ / "run", {"top", "--interval", "0.5", "--count", "2"});
  done = true;
  load.join();
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("NAME"));
  EXPECT_THAT(ran.out, HasSubstr("PER SECOND"));
  const std::size_t echo = ran.out.find(space_ + "/echo");
  EXPECT_LT(echo, ran.out.find(space_ + "/spins")) << ran.out;
  EXPECT_NE(ran.out.find(space_ + "/segv"), std::string::npos) << ran.out;
}

}  // namespace
}  // namespace mayfly
