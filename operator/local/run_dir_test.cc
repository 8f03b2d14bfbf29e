#include "operator/local/run_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "operator/local/testing/temp_dir.h"

namespace mayfly::op {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TempDir;
using testing::WriteFile;

TEST(RunDir, OnlyItsOwnerCanEnter) {
  const TempDir temp;
  const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
  ASSERT_TRUE(dir.ok()) << dir.status();
  for (const std::string& path : {temp / "base", dir->path()}) {
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u) << path;
  }
}

TEST(RunDir, LeavesNothingBehind) {
  const TempDir temp;
  {
    const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
    ASSERT_TRUE(dir.ok());
    WriteFile(dir->path() + "/a/b", "x");
  }
  EXPECT_FALSE(std::filesystem::exists(temp / "base"));
}

TEST(RunDir, RefusesASecondInstanceOfTheSameName) {
  const TempDir temp;
  const absl::StatusOr<RunDir> first = RunDir::Create(temp / "base", "8080");
  ASSERT_TRUE(first.ok());
  const absl::StatusOr<RunDir> second = RunDir::Create(temp / "base", "8080");
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  EXPECT_TRUE(std::filesystem::exists(first->path()));
  EXPECT_TRUE(RunDir::Create(temp / "base", "8081").ok());
}

TEST(RunDir, ListsTheInstancesThatLive) {
  const TempDir temp;
  EXPECT_THAT(RunDir::Running(temp / "base"), IsEmpty());
  const absl::StatusOr<RunDir> one = RunDir::Create(temp / "base", "8080");
  const absl::StatusOr<RunDir> other = RunDir::Create(temp / "base", "9000");
  WriteFile(temp / "base/7000.lock", "");
  EXPECT_THAT(RunDir::Running(temp / "base"), ElementsAre("8080", "9000"));
}

TEST(RunDir, RemovesWhatAKilledInstanceLeft) {
  const TempDir temp;
  WriteFile(temp / "base/7000/artifacts/x.so", "old");
  WriteFile(temp / "base/7000.lock", "");
  WriteFile(temp / "base/8080/old", "old");
  const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
  ASSERT_TRUE(dir.ok());
  EXPECT_FALSE(std::filesystem::exists(temp / "base/7000"));
  EXPECT_FALSE(std::filesystem::exists(temp / "base/7000.lock"));
  EXPECT_TRUE(std::filesystem::is_empty(dir->path()));
}

TEST(RunDir, ClosesABaseThatOthersCouldEnter) {
  const TempDir temp;
  std::filesystem::create_directory(temp / "base");
  ::chmod((temp / "base").c_str(), 0777);
  ASSERT_TRUE(RunDir::Create(temp / "base", "8080").ok());
}

TEST(RunDir, RefusesALinkInTheBasesPlace) {
  const TempDir temp;
  std::filesystem::create_directory(temp / "elsewhere");
  std::filesystem::create_symlink(temp / "elsewhere", temp / "base");
  const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
  EXPECT_TRUE(absl::IsPermissionDenied(dir.status())) << dir.status();
}

TEST(RunDir, RefusesABaseOfSomebodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  const TempDir temp;
  std::filesystem::create_directory(temp / "base");
  ASSERT_EQ(::chown((temp / "base").c_str(), 12345, 12345), 0);
  const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
  EXPECT_TRUE(absl::IsPermissionDenied(dir.status())) << dir.status();
  EXPECT_THAT(std::string(dir.status().message()), HasSubstr("belongs to uid 12345"));
}

}  // namespace
}  // namespace mayfly::op
