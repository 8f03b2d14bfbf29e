#include "operator/local/run_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/testing/temp_dir.h"

namespace mayfly::op {
namespace {

using base::TempDir;
using base::WriteFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

unsigned ModeOf(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777u : 0;
}

// An instance that is killed.
void LeaveBehind(const std::string& base, const std::string& name) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const absl::StatusOr<RunDir> dir = RunDir::Create(base, name);
    if (dir.ok()) WriteFile(dir->path() + "/artifacts/x.so", "old");
    ::_exit(dir.ok() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
}

TEST(RunDir, OnlyItsOwnerCanEnter) {
  const TempDir temp;
  const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
  ASSERT_TRUE(dir.ok()) << dir.status();
  for (const std::string& path : {temp / "base", dir->path()}) {
    EXPECT_EQ(ModeOf(path), 0700u) << path;
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
  LeaveBehind(temp / "base", "7000");
  EXPECT_THAT(RunDir::Running(temp / "base"), ElementsAre("8080", "9000"));
}

TEST(RunDir, RemovesWhatAKilledInstanceLeft) {
  const TempDir temp;
  LeaveBehind(temp / "base", "7000");
  ASSERT_TRUE(std::filesystem::exists(temp / "base/7000/artifacts/x.so"));
  {
    const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
    ASSERT_TRUE(dir.ok()) << dir.status();
    EXPECT_FALSE(std::filesystem::exists(temp / "base/7000"));
    EXPECT_FALSE(std::filesystem::exists(temp / "base/7000.lock"));
  }
  EXPECT_FALSE(std::filesystem::exists(temp / "base"));
}

TEST(RunDir, TakesThePlaceOfAKilledInstanceOfItsName) {
  const TempDir temp;
  LeaveBehind(temp / "base", "8080");
  // One that was killed before its lock file said anything.
  WriteFile(temp / "base/9000.lock", "");
  const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
  ASSERT_TRUE(dir.ok()) << dir.status();
  EXPECT_TRUE(std::filesystem::is_empty(dir->path()));
  EXPECT_TRUE(RunDir::Create(temp / "base", "9000").ok());
}

TEST(RunDir, RefusesAFolderWithFilesAndLeavesThemAlone) {
  const TempDir temp;
  WriteFile(temp / "home/photos/cat.jpg", "cat");
  WriteFile(temp / "home/poetry.lock", "content-hash");
  WriteFile(temp / "home/poetry/notes", "notes");
  WriteFile(temp / "home/8080/notes", "notes");
  ::chmod((temp / "home").c_str(), 0755);
  for (const char* const instance : {"8080", "8081", "poetry"}) {
    const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "home", instance);
    EXPECT_TRUE(absl::IsFailedPrecondition(dir.status())) << dir.status();
    EXPECT_THAT(std::string(dir.status().message()), HasSubstr("MAYFLY_RUN_DIR"));
  }
  for (const char* const kept : {"photos/cat.jpg", "poetry.lock", "poetry/notes", "8080/notes"}) {
    EXPECT_TRUE(std::filesystem::exists(temp / absl::StrCat("home/", kept))) << kept;
  }
  EXPECT_FALSE(std::filesystem::exists(temp / "home/8081.lock"));
  EXPECT_EQ(ModeOf(temp / "home"), 0755u);
}

TEST(RunDir, LeavesStrangersAloneInABaseThatIsInUse) {
  const TempDir temp;
  const absl::StatusOr<RunDir> first = RunDir::Create(temp / "base", "8080");
  ASSERT_TRUE(first.ok());
  WriteFile(temp / "base/8081/notes", "notes");
  WriteFile(temp / "base/8082.lock", "notes");
  for (const char* const instance : {"8081", "8082"}) {
    const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", instance);
    EXPECT_TRUE(absl::IsFailedPrecondition(dir.status())) << dir.status();
  }
  EXPECT_TRUE(RunDir::Create(temp / "base", "8083").ok());
  EXPECT_TRUE(std::filesystem::exists(temp / "base/8081/notes"));
  EXPECT_TRUE(std::filesystem::exists(temp / "base/8082.lock"));
}

TEST(RunDir, UsesAnEmptyFolderAsItIsAndLeavesItThere) {
  const TempDir temp;
  std::filesystem::create_directory(temp / "base");
  ::chmod((temp / "base").c_str(), 0755);
  LeaveBehind(temp / "base", "7000");
  {
    const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
    ASSERT_TRUE(dir.ok()) << dir.status();
    EXPECT_EQ(ModeOf(dir->path()), 0700u);
  }
  EXPECT_EQ(ModeOf(temp / "base"), 0755u);
  EXPECT_TRUE(std::filesystem::is_empty(temp / "base"));
}

TEST(RunDir, RefusesABaseThatOthersMayWriteTo) {
  const TempDir temp;
  std::filesystem::create_directory(temp / "base");
  ::chmod((temp / "base").c_str(), 0777);
  const absl::StatusOr<RunDir> dir = RunDir::Create(temp / "base", "8080");
  EXPECT_TRUE(absl::IsPermissionDenied(dir.status())) << dir.status();
  EXPECT_EQ(ModeOf(temp / "base"), 0777u);
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
