// The write-ahead log of a store that was killed, damaged as a disk or a person does it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "base/testing/temp_dir.h"
#include "gateway/store/sqlite/set_aside.h"
#include "gateway/store/sqlite/sqlite_event_store.h"
#include "gateway/store/waiting.h"

namespace mayfly::gateway {
namespace {

namespace fs = std::filesystem;

const TriggerKey kTrigger{"default/orders", "queue"};

class DamagedLogTest : public testing::Test {
 protected:
  // What a kill would leave of a store that had accepted `events`; sizes_ has the length of the log after each.
  void Leave(int events, std::size_t bytes = 100) {
    auto store = Open(folder_ / "live/events.db");
    ASSERT_TRUE(store.ok()) << store.status();
    for (int n = 0; n < events; ++n) {
      NewEvent event;
      event.record = NewRecordId(1'700'000'000'000);
      event.trigger = kTrigger;
      event.event.set_id(std::to_string(n));
      event.event.set_source("/shop");
      event.event.set_type("order");
      event.body = std::string(bytes, 'x');
      ASSERT_TRUE(
          WaitFor<Accepted>([&](auto done) { (*store)->Accept(std::move(event), std::move(done)); }).ok());
      sizes_.push_back(fs::file_size(folder_ / "live/events.db-wal"));
    }
    for (const char* suffix : {"", "-wal", ".mark"})
      fs::copy_file(folder_ / "live/events.db" + suffix, folder_ / "left.db" + suffix);
  }

  absl::StatusOr<std::unique_ptr<SqliteEventStore>> Open(const std::string& path) {
    fs::create_directories(fs::path(path).parent_path());
    SqliteStoreOptions options;
    options.path = path;
    options.reserve_bytes = 0;
    return SqliteEventStore::Open(options, clock_);
  }

  // A fresh copy of what was left, without what was made of the last one.
  std::string Left() {
    fs::remove_all(folder_ / "here");
    fs::create_directories(folder_ / "here");
    for (const char* suffix : {"", "-wal", ".mark"}) {
      if (fs::exists(folder_ / "left.db" + suffix))
        fs::copy_file(folder_ / "left.db" + suffix, folder_ / "here/events.db" + suffix);
    }
    return folder_ / "here/events.db";
  }

  static std::set<std::string> Held(EventStore& store) {
    std::set<std::string> ids;
    const auto batch = WaitFor<LeaseBatch>(
        [&](auto done) { store.Lease(kTrigger, 10'000, std::size_t{64} << 20, std::move(done)); });
    EXPECT_TRUE(batch.ok()) << batch.status();
    if (batch.ok()) {
      for (const LeasedEvent& event : batch->events) ids.insert(event.event.id());
    }
    return ids;
  }

  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void Flip(const std::string& path, std::size_t at, unsigned char mask) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ mask);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  // Of the events that were accepted before the log had `length` bytes none may be missing, and of the others none without a word.
  void Expect(const std::string& path, std::size_t length, const std::string& what) {
    const std::string log = Read(path + "-wal");
    std::size_t before = 0;
    while (before < sizes_.size() && sizes_[before] <= length) ++before;
    {
      auto store = Open(path);
      ASSERT_TRUE(store.ok()) << what << ": " << store.status();
      const std::set<std::string> held = Held(**store);
      EXPECT_GE(held.size(), before) << what;
      for (std::size_t n = 0; n < before; ++n) EXPECT_TRUE(held.contains(std::to_string(n))) << what;
      EXPECT_EQ((*store)->loss().empty(), held.size() == sizes_.size()) << what << ": " << (*store)->loss();
      if (!(*store)->loss().empty()) {
        EXPECT_TRUE((*store)->set_aside().starts_with(path + ".damaged-")) << what;
        EXPECT_EQ(Read((*store)->set_aside() + "-wal"), log) << what;
      }
    }
    // It is told once.
    auto again = Open(path);
    ASSERT_TRUE(again.ok()) << what << ": " << again.status();
    EXPECT_EQ((*again)->loss(), "") << what;
    EXPECT_EQ((*again)->set_aside(), "") << what;
  }

  base::TempDir folder_;
  base::RealClock clock_;
  std::vector<std::size_t> sizes_;
};

TEST_F(DamagedLogTest, IsReplayedWithoutAWordIfItIsWhole) {
  Leave(20);
  const std::string path = Left();
  auto store = Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->loss(), "");
  EXPECT_EQ((*store)->set_aside(), "");
  EXPECT_EQ(Held(**store).size(), 20u);
}

TEST_F(DamagedLogTest, LosesNothingWithoutAWordWhicheverByteIsWrong) {
  Leave(20);
  std::mt19937 random(7);
  const std::size_t size = sizes_.back();
  for (int round = 0; round < 80; ++round) {
    const std::string path = Left();
    // Of the header and the first frame more often.
    const std::size_t at =
        std::uniform_int_distribution<std::size_t>(0, (round % 4 == 0 ? 64 : size) - 1)(random);
    const auto mask = static_cast<unsigned char>(std::uniform_int_distribution<int>(1, 255)(random));
    Flip(path + "-wal", at, mask);
    Expect(path, at < 32 ? size : at, absl::StrCat("byte ", at, " ^ ", int{mask}));
    if (HasFatalFailure()) return;
  }
}

TEST_F(DamagedLogTest, SaysSoWhereverItWasCutOff) {
  Leave(20);
  std::mt19937 random(8);
  const std::size_t size = sizes_.back();
  for (int round = 0; round < 40; ++round) {
    const std::string path = Left();
    const std::size_t length = round < 2 ? static_cast<std::size_t>(round) * 32
                                         : std::uniform_int_distribution<std::size_t>(0, size - 1)(random);
    fs::resize_file(path + "-wal", length);
    Expect(path, length, absl::StrCat("cut to ", length));
    if (HasFatalFailure()) return;
  }
}

TEST_F(DamagedLogTest, SaysSoIfItIsGone) {
  Leave(20);
  const std::string path = Left();
  fs::remove(path + "-wal");
  auto store = Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->loss(), "its write-ahead log is gone, or cut off at its beginning");
  EXPECT_TRUE(fs::exists((*store)->set_aside()));
  EXPECT_TRUE(Held(**store).empty());
}

TEST_F(DamagedLogTest, CostsNothingIfOnlyItsHeaderIsWrong) {
  Leave(20);
  for (const std::size_t wrong : {1u, 8u, 32u}) {
    const std::string path = Left();
    for (std::size_t at = 0; at < wrong; ++at) Flip(path + "-wal", at, 0x5a);
    auto store = Open(path);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->loss(), "");
    EXPECT_EQ(Held(**store).size(), 20u);
    EXPECT_TRUE(fs::exists((*store)->set_aside()));
  }
}

TEST_F(DamagedLogTest, IsToldFromTheLogAloneIfNothingElseIsLeft) {
  Leave(20);
  fs::remove(folder_ / "left.db.mark");
  const std::string path = Left();
  Flip(path + "-wal", sizes_.back() / 3, 1);
  auto store = Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_THAT((*store)->loss(),
              testing::StartsWith("its write-ahead log is damaged or cut off behind page "));
  EXPECT_LT(Held(**store).size(), 20u);
}

TEST_F(DamagedLogTest, IsNotMissedOnceAllOfItIsInTheDatabase) {
  // More than 8 MiB: some are in the database, and the log begins anew.
  Leave(120, 100'000);
  ASSERT_LT(sizes_.back(), 120u * 100'000u);
  const std::string whole = Left();
  {
    auto store = Open(whole);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->loss(), "");
    EXPECT_EQ(Held(**store).size(), 120u);
  }
  EXPECT_FALSE(fs::exists(whole + "-wal")) << "an orderly end leaves none";
  auto store = Open(whole);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->loss(), "");
  EXPECT_EQ(Held(**store).size(), 120u);
}

TEST_F(DamagedLogTest, OfAnUnfinishedTransactionIsNoDamage) {
  Leave(20);
  // A kill between two frames of the next transaction, or within one.
  for (const std::size_t bytes : {10u, 24u, 500u, 4120u, 5000u}) {
    const std::string path = Left();
    {
      std::string frame = Read(path + "-wal").substr(32, 24) + std::string(8192, 'y');
      frame[4] = frame[5] = frame[6] = frame[7] = 0;
      std::ofstream(path + "-wal", std::ios::binary | std::ios::app) << frame.substr(0, bytes);
    }
    auto store = Open(path);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->loss(), "");
    EXPECT_EQ((*store)->set_aside(), "");
    EXPECT_EQ(Held(**store).size(), 20u);
  }
}

TEST_F(DamagedLogTest, IsNotRemovedBecauseItsDatabaseIsGone) {
  Leave(20);
  const std::string path = Left();
  const std::string log = Read(path + "-wal");
  fs::remove(path);
  const auto store = Open(path);
  ASSERT_TRUE(absl::IsFailedPrecondition(store.status())) << store.status();
  EXPECT_THAT(std::string(store.status().message()), testing::HasSubstr("put the database back"));
  EXPECT_EQ(Read(path + "-wal"), log);
}

TEST_F(DamagedLogTest, IsNotTouchedIfNoCopyCanBeMade) {
  Leave(20);
  const std::string disk = folder_ / "disk";
  fs::create_directories(disk);
  if (::geteuid() != 0 || ::mount("mayfly", disk.c_str(), "tmpfs", 0, "size=1m") != 0)
    GTEST_SKIP() << "needs to mount a small disk";
  for (const char* suffix : {"", "-wal", ".mark"})
    fs::copy_file(folder_ / "left.db" + suffix, disk + "/events.db" + suffix);
  Flip(disk + "/events.db-wal", 10'000, 1);
  std::ofstream(disk + "/full", std::ios::binary) << std::string(std::size_t{2} << 20, 'f');
  const std::string log = Read(disk + "/events.db-wal");
  const auto store = Open(disk + "/events.db");
  EXPECT_TRUE(absl::IsFailedPrecondition(store.status())) << store.status();
  EXPECT_THAT(std::string(store.status().message()), testing::HasSubstr("make room for it"));
  EXPECT_EQ(Read(disk + "/events.db-wal"), log);
  ::umount(disk.c_str());
}

}  // namespace
}  // namespace mayfly::gateway
