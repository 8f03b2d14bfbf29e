#include "gateway/metering/usage_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/testing/temp_dir.h"

namespace mayfly::gateway {
namespace {

using base::TempDir;
using base::WriteFile;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class UsageFolderTest : public ::testing::Test {
 protected:
  std::unique_ptr<UsageFolder> Open(std::uint64_t most_bytes_of_file = 1 << 20,
                                    std::uint64_t most_bytes = 1 << 22) {
    auto opened = UsageFolder::Open({.folder = temp_ / "usage",
                                     .most_bytes_of_file = most_bytes_of_file,
                                     .most_bytes = most_bytes,
                                     .most_files = 100},
                                    "--usage-records", clock_, metrics_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  // A line of `invocations`, with a number of its own.
  std::string Line(std::uint64_t invocations) {
    return ToLine({.from_ms = 1,
                   .until_ms = 2,
                   .gateway = "gw",
                   .instance = "i",
                   .number = ++number_,
                   .function = "default/f",
                   .trigger = "http",
                   .sums = {.invocations = invocations}});
  }
  std::uint64_t Sum() const {
    std::uint64_t sum = 0;
    const absl::Status read =
        ReadUsage(temp_ / "usage", [&](const UsageRecord& record) { sum += record.sums.invocations; });
    EXPECT_TRUE(read.ok()) << read;
    return sum;
  }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(temp_ / "usage")) files.push_back(entry.path());
    return files;
  }

  TempDir temp_;
  base::FakeClock clock_;
  base::Metrics metrics_;
  std::uint64_t number_ = 0;
};

TEST_F(UsageFolderTest, KeepsWhatEachProcessAppended) {
  ASSERT_TRUE(Open()->Append(Line(1) + Line(2)).ok());
  ASSERT_TRUE(Open()->Append(Line(4)).ok());
  EXPECT_EQ(Sum(), 7u);
  EXPECT_EQ(Files().size(), 2u);
}

TEST_F(UsageFolderTest, IsForItsOwnerAlone) {
  ASSERT_TRUE(Open()->Append(Line(1)).ok());
  struct stat folder{};
  struct stat file{};
  ASSERT_EQ(::stat((temp_ / "usage").c_str(), &folder), 0);
  ASSERT_EQ(::stat(Files().front().c_str(), &file), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700u);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
}

TEST_F(UsageFolderTest, BeginsAnotherFileWhenOneIsFullAndCutsNoRecord) {
  const auto folder = Open(/*most_bytes_of_file=*/1000);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(folder->Append(Line(1)).ok());
    clock_.Advance(std::chrono::milliseconds(1));
  }
  EXPECT_GT(Files().size(), 1u);
  for (const fs::path& file : Files()) EXPECT_LE(fs::file_size(file), 1000u);
  EXPECT_EQ(Sum(), 20u);
}

TEST_F(UsageFolderTest, RemovesTheOldestFilesWhenThereIsTooMuchAndSaysSo) {
  const auto folder = Open(/*most_bytes_of_file=*/1000, /*most_bytes=*/4000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(folder->Append(Line(i == 99 ? 1000 : 1)).ok());
    clock_.Advance(std::chrono::milliseconds(1));
  }
  std::uintmax_t bytes = 0;
  for (const fs::path& file : Files()) bytes += fs::file_size(file);
  EXPECT_LE(bytes, 4000u);
  EXPECT_GE(Sum(), 1000u) << "the newest is there";
  EXPECT_THAT(metrics_.Text(), HasSubstr("mayfly_usage_record_files_removed_total"));
}

TEST_F(UsageFolderTest, LeavesOutALineThatHasNoEnd) {
  ASSERT_TRUE(Open()->Append(Line(1)).ok());
  const std::string line = Line(2);
  std::ofstream(Files().front(), std::ios::app) << line.substr(0, line.size() - 1);
  EXPECT_EQ(Sum(), 1u);
}

TEST_F(UsageFolderTest, AppendsAllOfABatchOrNothingAndGoesOnInAnotherFile) {
  const auto folder = Open();
  ASSERT_TRUE(folder->Append(Line(1)).ok());
  // The kernel lets files grow no further than into the next batch.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit tight{fs::file_size(Files().front()) + 50, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const std::string batch = Line(2) + Line(4);
  const absl::Status refused = folder->Append(batch);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(refused.ok());
  EXPECT_EQ(Sum(), 1u);
  ASSERT_TRUE(folder->Append(batch).ok());
  EXPECT_EQ(Sum(), 7u);
}

TEST_F(UsageFolderTest, SaysWhichFolderCannotBeHadAndWhatChoosesAnother) {
  WriteFile(temp_ / "file", "x");
  const auto opened =
      UsageFolder::Open({.folder = temp_ / "file/usage"}, "--usage-records", clock_, metrics_);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened.status().message()),
              HasSubstr("choose another folder with --usage-records"));
}

}  // namespace
}  // namespace mayfly::gateway
