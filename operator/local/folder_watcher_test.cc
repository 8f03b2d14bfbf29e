#include "operator/local/folder_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/testing/temp_dir.h"

namespace mayfly::op {
namespace {

using base::TempDir;
using base::WriteFile;
using ::testing::Contains;
namespace fs = std::filesystem;

TEST(FolderWatcher, NamesTheFilesThatChanged) {
  const TempDir temp;
  absl::StatusOr<FolderWatcher> watcher = FolderWatcher::Create();
  ASSERT_TRUE(watcher.ok() && watcher->Watch(temp.path()).ok());
  WriteFile(temp / "a.yaml", "x");
  EXPECT_THAT(watcher->Read().paths, Contains(temp / "a.yaml"));
  fs::rename(temp / "a.yaml", temp / "b.yaml");
  const FolderWatcher::Changes renamed = watcher->Read();
  EXPECT_THAT(renamed.paths, Contains(temp / "a.yaml"));
  EXPECT_THAT(renamed.paths, Contains(temp / "b.yaml"));
  fs::remove(temp / "b.yaml");
  EXPECT_THAT(watcher->Read().paths, Contains(temp / "b.yaml"));
  EXPECT_TRUE(watcher->Read().empty());
}

TEST(FolderWatcher, AsksForALookAtEverythingWhenFoldersComeOrGo) {
  const TempDir temp;
  absl::StatusOr<FolderWatcher> watcher = FolderWatcher::Create();
  ASSERT_TRUE(watcher.ok() && watcher->Watch(temp.path()).ok());
  fs::create_directory(temp / "sub");
  EXPECT_TRUE(watcher->Read().lost);
  ASSERT_TRUE(watcher->Watch(temp / "sub").ok());
  fs::remove(temp / "sub");
  EXPECT_TRUE(watcher->Read().lost);
  // The folder can be watched again once it is back.
  fs::create_directory(temp / "sub");
  watcher->Read();
  ASSERT_TRUE(watcher->Watch(temp / "sub").ok());
  WriteFile(temp / "sub/x", "x");
  EXPECT_THAT(watcher->Read().paths, Contains(temp / "sub/x"));
}

TEST(FolderWatcher, SaysWhenAFolderIsNotThere) {
  const TempDir temp;
  absl::StatusOr<FolderWatcher> watcher = FolderWatcher::Create();
  ASSERT_TRUE(watcher.ok());
  EXPECT_TRUE(absl::IsNotFound(watcher->Watch(temp / "absent")));
  WriteFile(temp / "file", "x");
  EXPECT_TRUE(absl::IsNotFound(watcher->Watch(temp / "file")));
}

TEST(FolderWatcher, WatchesNoMoreThanItIsAskedTo) {
  const TempDir temp;
  fs::create_directory(temp / "a");
  fs::create_directory(temp / "b");
  absl::StatusOr<FolderWatcher> watcher = FolderWatcher::Create();
  ASSERT_TRUE(watcher.ok() && watcher->WatchOnly({temp / "a", temp / "b"}).ok());
  ASSERT_TRUE(watcher->WatchOnly({temp / "b"}).ok());
  watcher->Read();
  WriteFile(temp / "a/x", "x");
  EXPECT_TRUE(watcher->Read().empty());
  WriteFile(temp / "b/x", "x");
  EXPECT_FALSE(watcher->Read().empty());
}

}  // namespace
}  // namespace mayfly::op
