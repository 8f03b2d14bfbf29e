#include "gateway/store/sqlite/sqlite_event_store.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "gateway/store/sqlite/events_folder.h"
#include "gateway/store/testing/event_store_contract.h"

namespace mayfly::gateway {
namespace {

class SqliteUnderTest final : public StoreUnderTest {
 public:
  SqliteUnderTest() { Open(); }

  EventStore& store() override { return *store_; }
  void Reopen() override {
    store_.reset();
    Open();
  }
  void Advance(std::chrono::milliseconds by) override { clock_.Advance(by); }
  std::chrono::milliseconds dedup_window() override { return std::chrono::minutes(10); }
  std::chrono::milliseconds result_ttl() override { return std::chrono::hours(1); }

 private:
  void Open() {
    SqliteStoreOptions options;
    options.path = folder_ / "events.db";
    auto store = SqliteEventStore::Open(options, clock_);
    if (!store.ok()) throw std::runtime_error(store.status().ToString());
    store_ = *std::move(store);
  }

  base::TempDir folder_;
  base::FakeClock clock_;
  std::unique_ptr<SqliteEventStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, EventStoreContract,
                         testing::Values(StoreMaker{"Sqlite",
                                                    [] { return std::make_unique<SqliteUnderTest>(); }}),
                         StoreName);

class SqliteEventStoreTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<SqliteEventStore>> Open(const std::string& path) {
    SqliteStoreOptions options;
    options.path = path;
    return SqliteEventStore::Open(options, clock_);
  }
  static NewEvent Event(const std::string& id, std::size_t bytes = 100) {
    NewEvent event;
    event.record = NewRecordId(1'700'000'000'000);
    event.trigger = {"default/orders", "queue"};
    event.event.set_id(id);
    event.event.set_source("/shop");
    event.event.set_type("order");
    event.body = std::string(bytes, 'x');
    return event;
  }
  static EventOutcome Done(const std::string& record) {
    EventOutcome outcome;
    outcome.record = record;
    return outcome;
  }
  static absl::Status Accept(EventStore& store, NewEvent event) {
    return WaitFor<Accepted>([&](auto done) { store.Accept(std::move(event), std::move(done)); }).status();
  }
  static std::uint64_t Pending(EventStore& store) {
    const auto counts =
        WaitFor<std::vector<TriggerCounts>>([&](auto done) { store.Counts(std::move(done)); });
    std::uint64_t sum = 0;
    for (const TriggerCounts& of : *counts) sum += of.pending;
    return sum;
  }

  base::TempDir folder_;
  base::RealClock clock_;
};

TEST_F(SqliteEventStoreTest, HasWhatItAcceptedAfterItWasKilledInTheMiddle) {
  const std::string path = folder_ / "events.db";
  for (int round = 0; round < 5; ++round) {
    int told[2];
    ASSERT_EQ(::pipe(told), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(told[0]);
      auto store = Open(path);
      if (!store.ok()) ::_exit(1);
      // Each id that was accepted is written to the pipe, until we are killed.
      for (std::uint32_t n = 0;; ++n) {
        const std::uint32_t number = static_cast<std::uint32_t>(round) << 24 | n;
        (*store)->Accept(Event(std::to_string(number)),
                         [number, out = told[1]](const absl::StatusOr<Accepted>& done) {
                           if (done.ok() && ::write(out, &number, sizeof number) != sizeof number) ::_exit(2);
                         });
      }
    }
    ::close(told[1]);
    std::set<std::string> accepted;
    std::uint32_t number = 0;
    bool killed = false;
    while (::read(told[0], &number, sizeof number) == sizeof number) {
      accepted.insert(std::to_string(number));
      if (!killed && accepted.size() > 500u * static_cast<unsigned>(round + 1)) {
        ::kill(child, SIGKILL);
        killed = true;
      }
    }
    ::close(told[0]);
    ::waitpid(child, nullptr, 0);
    ASSERT_TRUE(killed);
    auto store = Open(path);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->set_aside(), "");
    std::set<std::string> found;
    for (;;) {
      const auto batch = WaitFor<LeaseBatch>([&](auto done) {
        (*store)->Lease({"default/orders", "queue"}, 1'000, std::size_t{16} << 20, std::move(done));
      });
      ASSERT_TRUE(batch.ok()) << batch.status();
      if (batch->events.empty()) break;
      std::vector<EventOutcome> outcomes;
      for (const LeasedEvent& event : batch->events) {
        EXPECT_TRUE(found.insert(event.event.id()).second) << event.event.id() << " came twice";
        outcomes.push_back(Done(event.record));
      }
      ASSERT_TRUE(WaitFor([&](EventStore::Done done) { (*store)->Finish(outcomes, std::move(done)); }).ok());
    }
    for (const std::string& id : accepted)
      EXPECT_TRUE(found.contains(id)) << id << " was accepted and is lost";
    EXPECT_EQ(Pending(**store), 0u);
  }
}

TEST_F(SqliteEventStoreTest, SetsADamagedFileAsideAndSaysWhere) {
  const std::string path = folder_ / "events.db";
  ASSERT_TRUE(Accept(**Open(path), Event("a")).ok());
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(8192, '\xee');
  }
  auto store = Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE((*store)->set_aside().starts_with(path + ".damaged-"));
  EXPECT_TRUE(std::filesystem::exists((*store)->set_aside()));
  EXPECT_EQ(Pending(**store), 0u);
  EXPECT_TRUE(Accept(**store, Event("a")).ok());
}

TEST_F(SqliteEventStoreTest, IsItsOwnersAloneAlsoIfItWasNot) {
  const auto modes = [](const std::string& folder) {
    std::set<int> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      found.insert(static_cast<int>(entry.status().permissions()));
    return found;
  };
  const std::string folder = folder_ / "a/b";
  for (int round = 0; round < 2; ++round) {
    auto store = OpenEventsFolder(folder, "--events", clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ(modes(folder), std::set<int>{0600}) << "the log of SQLite, too";
    EXPECT_EQ(modes(folder_ / "a"), std::set<int>{0700});
    store->reset();
    // As it was made before.
    std::filesystem::permissions(folder + "/events.db", std::filesystem::perms{0644});
  }
  base::WriteFile(folder_ / "file", "");
  const auto refused = OpenEventsFolder(folder_ / "file/x", "--events", clock_);
  EXPECT_EQ(refused.status().message(),
            absl::StrCat("cannot make the folder ", folder_ / "file",
                         " for events (File exists): choose another with --events"));
}

TEST_F(SqliteEventStoreTest, LeavesAFileOfAnotherFormatAlone) {
  const std::string path = folder_ / "events.db";
  ASSERT_TRUE(Accept(**Open(path), Event("a")).ok());
  {
    // user_version lies at byte 60, big-endian.
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(60);
    file.write("\0\0\0\7", 4);
  }
  const auto store = Open(path);
  ASSERT_TRUE(absl::IsFailedPrecondition(store.status())) << store.status();
  EXPECT_THAT(std::string(store.status().message()), testing::HasSubstr("has format 7"));
}

TEST_F(SqliteEventStoreTest, RefusesAFileThatAnotherProcessHas) {
  const std::string path = folder_ / "events.db";
  const auto first = Open(path);
  ASSERT_TRUE(first.ok());
  const auto second = Open(path);
  ASSERT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr("in use by another process"));
}

TEST_F(SqliteEventStoreTest, SaysWhatToDoIfItCannotBeOpened) {
  std::filesystem::create_directories(folder_ / "a/events.db");
  const absl::Status folder = Open(folder_ / "a/events.db").status();
  EXPECT_THAT(
      std::string(folder.message()),
      testing::AllOf(testing::StartsWith(
                         absl::StrCat("the event store ", folder_ / "a/events.db", " cannot be opened (")),
                     testing::EndsWith("): it is a folder: move that away, or choose another folder with "
                                       "--data")));
  const std::string disk = folder_ / "disk";
  std::filesystem::create_directories(disk);
  if (::geteuid() != 0 || ::mount("mayfly", disk.c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "needs to mount a small disk";
  {
    std::ofstream(disk + "/full", std::ios::binary) << std::string(std::size_t{1} << 20, 'f');
  }
  const absl::Status full = Open(disk + "/events.db").status();
  EXPECT_THAT(std::string(full.message()),
              testing::HasSubstr("): free disk space, or choose another folder"));
  ASSERT_EQ(::mount("mayfly", disk.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=64k"), 0);
  const absl::Status read_only = Open(disk + "/events.db").status();
  EXPECT_THAT(std::string(read_only.message()),
              testing::AllOf(testing::HasSubstr("Read-only file system"),
                             testing::HasSubstr("see to it that its folder can be written to")));
  ::umount(disk.c_str());
}

// A disk of 40 MiB, if this process may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    mounted_ = ::geteuid() == 0 && ::mount("mayfly", path_.c_str(), "tmpfs", 0, "size=40m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount(path_.c_str());
  }
  bool mounted() const { return mounted_; }
  void Grow() { ::mount("mayfly", path_.c_str(), "tmpfs", MS_REMOUNT, "size=128m"); }

 private:
  const std::string path_;
  bool mounted_ = false;
};

TEST_F(SqliteEventStoreTest, RefusesNewEventsWhileTheDiskIsFullAndRecovers) {
  SmallDisk disk(folder_.path());
  if (!disk.mounted()) GTEST_SKIP() << "needs to mount a small disk";
  {
    auto opened = Open(folder_ / "events.db");
    ASSERT_TRUE(opened.ok()) << opened.status();
    SqliteEventStore& store = **opened;
    absl::Status full;
    int accepted = 0;
    for (int n = 0; n < 1'000 && full.ok(); ++n) {
      full = Accept(store, Event(std::to_string(n), 100'000));
      accepted += full.ok() ? 1 : 0;
    }
    EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
    EXPECT_THAT(std::string(full.message()), testing::HasSubstr("free disk space"));
    EXPECT_FALSE(store.health().ok());
    // Outcomes go on, with the reserve.
    const auto batch = WaitFor<LeaseBatch>([&](auto done) {
      store.Lease({"default/orders", "queue"}, 1'000, std::size_t{64} << 20, std::move(done));
    });
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_EQ(batch->events.size(), static_cast<std::size_t>(accepted));
    for (const LeasedEvent& event : batch->events) {
      const absl::Status done =
          WaitFor([&](EventStore::Done told) { store.Finish({Done(event.record)}, std::move(told)); });
      ASSERT_TRUE(done.ok()) << done;
    }
    // There is room in the file again, and somebody frees disk space.
    disk.Grow();
    EXPECT_TRUE(base::Eventually([&] { return store.health().ok(); }));
    EXPECT_TRUE(Accept(store, Event("after")).ok());
  }
}

TEST_F(SqliteEventStoreTest, RefusesWhatWouldWaitTooLong) {
  SqliteStoreOptions options;
  options.path = folder_ / "events.db";
  options.max_queued = 64;
  auto store = SqliteEventStore::Open(options, clock_);
  ASSERT_TRUE(store.ok());
  std::atomic<int> accepted{0}, refused{0};
  for (int n = 0; n < 20'000; ++n) {
    (*store)->Accept(Event(std::to_string(n)), [&](const absl::StatusOr<Accepted>& done) {
      (done.ok() ? accepted : refused)++;
      EXPECT_TRUE(done.ok() || absl::IsResourceExhausted(done.status()));
    });
  }
  EXPECT_TRUE(base::Eventually([&] { return accepted + refused == 20'000; }));
  EXPECT_GT(refused, 0);
  EXPECT_EQ(Pending(**store), static_cast<std::uint64_t>(accepted));
}

TEST_F(SqliteEventStoreTest, TakesManyThreadsAtOnce) {
  auto store = Open(folder_ / "events.db");
  ASSERT_TRUE(store.ok());
  std::atomic<int> accepted{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int n = 0; n < 200; ++n) {
          if (Accept(**store, Event(std::to_string(t) + "-" + std::to_string(n))).ok()) accepted++;
        }
      });
    }
  }
  EXPECT_EQ(accepted, 800);
  EXPECT_EQ(Pending(**store), 800u);
}

}  // namespace
}  // namespace mayfly::gateway
