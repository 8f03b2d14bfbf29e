#include "runtime/pool/folder_use.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file_descriptor.h"

namespace mayfly::runtime {
namespace {

class FolderUseTest : public testing::Test {
 protected:
  FolderUseTest() {
    std::string name = testing::TempDir() + "/folder-use-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~FolderUseTest() override {
    EXPECT_TRUE(EmptyFolder(path_, Soon()));
    EXPECT_EQ(rmdir(path_.c_str()), 0) << path_;
  }
  void Write(const std::string& name, std::size_t bytes) {
    std::ofstream(path_ + "/" + name) << std::string(bytes, 'x');
  }
  static std::chrono::steady_clock::time_point Soon() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(60);
  }
  std::string path_;
};

TEST_F(FolderUseTest, CountsBytesAndEntriesInAllFolders) {
  Write("one", 100'000);
  mkdir((path_ + "/inner").c_str(), 0700);
  Write("inner/two", 100'000);
  EXPECT_FALSE(FolderExceeds(path_, 300'000, 10));
  EXPECT_TRUE(FolderExceeds(path_, 150'000, 10));
  EXPECT_TRUE(FolderExceeds(path_, 300'000, 2));
  EXPECT_FALSE(FolderExceeds(path_ + "/absent", 0, 0));
}

TEST_F(FolderUseTest, FollowsNoLinks) {
  ASSERT_EQ(symlink("/usr", (path_ + "/usr").c_str()), 0);
  EXPECT_FALSE(FolderExceeds(path_, 100'000, 5));
  EXPECT_TRUE(EmptyFolder(path_, Soon()));
  EXPECT_TRUE(std::filesystem::exists("/usr/bin"));
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

TEST_F(FolderUseTest, SeesAndRemovesWhatItsModeHides) {
  mkdir((path_ + "/hidden").c_str(), 0700);
  Write("hidden/file", 200'000);
  chmod((path_ + "/hidden").c_str(), 0);
  EXPECT_TRUE(FolderExceeds(path_, 150'000, 10));
  chmod((path_ + "/hidden").c_str(), 0);
  EXPECT_TRUE(EmptyFolder(path_, Soon()));
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

TEST_F(FolderUseTest, RemovesFoldersThatAreNestedDeeperThanAnyPathReaches) {
  constexpr int kDepth = 150;
  const std::string name(200, 'd');
  base::FileDescriptor folder(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(mkdirat(folder.get(), name.c_str(), 0700), 0);
    const int inner = openat(folder.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(inner, 0);
    folder.Reset(inner);
  }
  EXPECT_TRUE(FolderExceeds(path_, UINT64_MAX, SIZE_MAX));
  EXPECT_TRUE(EmptyFolder(path_, Soon()));
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

}  // namespace
}  // namespace mayfly::runtime
