#include "runtime/artifacts/module_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/testing/temp_dir.h"

namespace mayfly::runtime {
namespace {

class ModuleCacheTest : public ::testing::Test {
 protected:
  static std::string Name(char c) { return std::string(64, c); }

  void Put(char name, const std::string& content, int used_seconds) {
    const auto lock = cache_.Lock(Name(name), std::chrono::steady_clock::now(), [] {});
    ASSERT_TRUE(lock.ok()) << lock.status();
    const auto file = cache_.Begin(Name(name));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_EQ(::write(file->get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    const timespec times[] = {{used_seconds, 0}, {used_seconds, 0}};
    ::futimens(file->get(), times);
    ASSERT_TRUE(cache_.Keep(Name(name), Name(name), *file).ok());
  }
  std::string Read(char name) {
    const base::FileDescriptor file = cache_.Find(Name(name));
    if (!file) return "(none)";
    char text[64];
    const ssize_t size = ::read(file.get(), text, sizeof text);
    return std::string(text, static_cast<std::size_t>(size));
  }

  base::TempDir folder_;
  ModuleCache cache_ = *ModuleCache::Open(folder_ / "cache", 10);
};

TEST_F(ModuleCacheTest, FindsWhatWasKept) {
  EXPECT_EQ(Read('a'), "(none)");
  Put('a', "1234", 1);
  EXPECT_EQ(Read('a'), "1234");
  cache_.Drop(Name('a'));
  EXPECT_EQ(Read('a'), "(none)");
}

TEST_F(ModuleCacheTest, RemovesWhatWasUsedLongestAgo) {
  Put('a', "1234", 1);
  Put('b', "1234", 2);
  EXPECT_EQ(Read('a'), "1234");  // used now
  Put('c', "1234", 3);
  EXPECT_EQ(Read('a'), "1234");
  EXPECT_EQ(Read('b'), "(none)");
  EXPECT_EQ(Read('c'), "1234");
}

TEST_F(ModuleCacheTest, ReadsOnFromAFileThatItRemoves) {
  Put('a', "1234", 1);
  const base::FileDescriptor open = cache_.Find(Name('a'));
  cache_.Drop(Name('a'));
  char text[8];
  EXPECT_EQ(::read(open.get(), text, sizeof text), 4);
}

TEST_F(ModuleCacheTest, KeepsTheNewestEvenIfItAloneIsTooLarge) {
  Put('a', "1234", 1);
  Put('b', "123456789012", 2);
  EXPECT_EQ(Read('a'), "(none)");
  EXPECT_EQ(Read('b'), "123456789012");
}

TEST_F(ModuleCacheTest, LetsOneAtATimeFetchAModule) {
  auto first = cache_.Lock(Name('a'), std::chrono::steady_clock::now(), [] {});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(cache_.Lock(Name('a'), std::chrono::steady_clock::now(), [] {}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  int waits = 0;
  const auto second =
      cache_.Lock(Name('a'), std::chrono::steady_clock::now() + std::chrono::seconds(10), [&] {
        if (++waits == 2) first->Reset();
      });
  EXPECT_TRUE(second.ok());
}

TEST_F(ModuleCacheTest, TakesOverAndRemovesWhatADeadProcessLeft) {
  ASSERT_TRUE(cache_.Begin(Name('a')).ok());
  ASSERT_TRUE(cache_.Begin(Name('b')).ok());
  EXPECT_EQ(Read('a'), "(none)") << "half a module has no name";
  const timespec old[] = {{1, 0}, {1, 0}};
  ::utimensat(AT_FDCWD, (folder_ / ("cache/" + Name('b') + ".part")).c_str(), old, 0);
  Put('a', "1234", 1);
  EXPECT_EQ(Read('a'), "1234");
  EXPECT_FALSE(std::filesystem::exists(folder_ / ("cache/" + Name('b') + ".part")));
}

TEST_F(ModuleCacheTest, KnowsWhichModuleAnImageHasForAsLongAsItIsKept) {
  EXPECT_EQ(cache_.ModuleOfImage(Name('1')), "");
  Put('a', "12345678", 1);
  cache_.KeepImage(Name('1'), Name('a'));
  EXPECT_EQ(cache_.ModuleOfImage(Name('1')), Name('a'));
  Put('b', "12345678", 2);
  cache_.KeepImage(Name('2'), Name('b'));
  EXPECT_EQ(cache_.ModuleOfImage(Name('1')), "") << "its module had to go";
  EXPECT_EQ(cache_.ModuleOfImage(Name('2')), Name('b'));
}

}  // namespace
}  // namespace mayfly::runtime
