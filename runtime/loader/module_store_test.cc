#include "runtime/loader/module_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "runtime/loader/testing.h"

namespace mayfly::runtime {
namespace {

using ::testing::HasSubstr;
using testing::ModulePath;
using testing::ReadFile;
using ::testing::StartsWith;
using testing::WriteFile;

class ModuleStoreTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kLargest = 4u << 20;

  void SetUp() override { Reopen(); }

  void Reopen() {
    store_.reset();
    auto store = ModuleStore::Open(folder_.path() + "/modules", "/proc/self/exe", kLargest);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::shared_ptr<const StoredModule> Admit(const AdmitRequest& request) {
    problem_.Clear();
    return store_->Admit(request, problem_, times_);
  }
  std::size_t Files() const {
    const std::filesystem::directory_iterator files(folder_.path() + "/modules");
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
  }

  testing::TempDir folder_;
  std::unique_ptr<ModuleStore> store_;
  v1::Problem problem_;
  AdmitTimes times_;
};

TEST_F(ModuleStoreTest, LoadsFromItsOwnCopyWhichGoesWithItsLastUser) {
  auto module = Admit({.path = ModulePath("good")});
  ASSERT_TRUE(module) << problem_.message();
  EXPECT_THAT(module->path, HasSubstr(folder_.path()));
  EXPECT_EQ(ReadFile(module->path), ReadFile(ModulePath("good")));
  auto again = Admit({.path = ModulePath("good")});
  EXPECT_EQ(again, module);
  module.reset();
  EXPECT_EQ(Files(), 1u);
  again.reset();
  EXPECT_EQ(Files(), 0u);
}

TEST_F(ModuleStoreTest, WhatIsWrittenToTheFileLaterDoesNotReachTheCopy) {
  const std::string path = folder_.path() + "/mine.so";
  const std::string content = ReadFile(ModulePath("good"));
  WriteFile(path, content);
  const auto module = Admit({.path = path});
  ASSERT_TRUE(module);
  WriteFile(path, "changed");
  EXPECT_EQ(ReadFile(module->path), content);
}

TEST_F(ModuleStoreTest, TakesBytesLikeAFile) {
  const std::string content = ReadFile(ModulePath("good"));
  const auto module = Admit({.bytes = content, .sha256 = Sha256Hex(testing::AsBytes(content))});
  ASSERT_TRUE(module) << problem_.message();
  EXPECT_EQ(ReadFile(module->path), content);
}

TEST_F(ModuleStoreTest, RefusesAnotherDigestAndNamesBoth) {
  EXPECT_FALSE(Admit({.path = ModulePath("good"), .sha256 = std::string(64, 'a')}));
  EXPECT_EQ(problem_.reason(), "DigestMismatch");
  EXPECT_THAT(problem_.message(), HasSubstr(std::string(64, 'a')));
  EXPECT_EQ(Files(), 0u);
}

TEST_F(ModuleStoreTest, AcceptsADigestInUpperCase) {
  const std::string content = ReadFile(ModulePath("good"));
  std::string digest = Sha256Hex(testing::AsBytes(content));
  for (char& c : digest) c = static_cast<char>(std::toupper(c));
  EXPECT_TRUE(Admit({.path = ModulePath("good"), .sha256 = digest})) << problem_.message();
}

TEST(Sha256Hex, IsTheKnownDigestOfKnownBytes) {
  EXPECT_EQ(Sha256Hex(testing::AsBytes("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(ModuleStoreTest, RefusesWhatIsNoReadableFile) {
  EXPECT_FALSE(Admit({.path = folder_.path() + "/absent.so"}));
  EXPECT_EQ(problem_.reason(), "NotReadable");
  EXPECT_THAT(problem_.message(), HasSubstr("No such file"));
  EXPECT_FALSE(Admit({.path = folder_.path()}));
  EXPECT_EQ(problem_.reason(), "NotAFile");
  const std::string fifo = folder_.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(Admit({.path = fifo}));
  EXPECT_EQ(problem_.reason(), "NotAFile");
  EXPECT_EQ(Files(), 0u);
}

TEST_F(ModuleStoreTest, RefusesWhatIsTooLargeWithoutReadingIt) {
  const std::string path = folder_.path() + "/large.so";
  WriteFile(path, "x");
  std::filesystem::resize_file(path, kLargest + 1);
  EXPECT_FALSE(Admit({.path = path}));
  EXPECT_EQ(problem_.reason(), "TooLarge");
  const std::string bytes(kLargest + 1, 'x');
  EXPECT_FALSE(Admit({.bytes = bytes}));
  EXPECT_EQ(problem_.reason(), "TooLarge");
  EXPECT_EQ(Files(), 0u);
}

TEST_F(ModuleStoreTest, LoadsAModuleThatNeedsItsNeighboursFromWhereItLies) {
  const auto module = Admit({.path = ModulePath("needs_library_beside")});
  ASSERT_TRUE(module) << problem_.message();
  EXPECT_EQ(module->path, ModulePath("needs_library_beside"));
  EXPECT_EQ(Files(), 0u);
}

TEST_F(ModuleStoreTest, NamesAndUsesTheFileThatASnapshotWasTakenFrom) {
  const std::string snapshot = folder_.path() + "/0123.so";
  WriteFile(snapshot, ReadFile(ModulePath("needs_library")));
  EXPECT_FALSE(Admit({.path = snapshot, .source_path = ModulePath("needs_library")}));
  EXPECT_THAT(problem_.message(), StartsWith(ModulePath("needs_library") + " needs the library"));
  WriteFile(snapshot, "no module");
  EXPECT_FALSE(Admit({.path = snapshot, .source_path = "/home/ada/mine.so"}));
  EXPECT_THAT(problem_.message(), StartsWith("/home/ada/mine.so "));

  WriteFile(snapshot, ReadFile(ModulePath("needs_library_beside")));
  const auto module = Admit({.path = snapshot, .source_path = ModulePath("needs_library_beside")});
  ASSERT_TRUE(module) << problem_.message();
  EXPECT_EQ(module->path, ModulePath("needs_library_beside")) << "its neighbours are there";
}

TEST_F(ModuleStoreTest, RemovesWhatAKilledRuntimeLeft) {
  WriteFile(folder_.path() + "/modules/dead.so", "x");
  WriteFile(folder_.path() + "/modules/7.tmp", "x");
  Reopen();
  EXPECT_EQ(Files(), 0u);
}

TEST_F(ModuleStoreTest, RefusesAFolderThatAnotherRuntimeUses) {
  const auto second = ModuleStore::Open(folder_.path() + "/modules", "/proc/self/exe", kLargest);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--state-dir"));
}

TEST_F(ModuleStoreTest, KeepsItsCopiesToItself) {
  struct stat status;
  ASSERT_EQ(::stat((folder_.path() + "/modules").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  const auto module = Admit({.path = ModulePath("good")});
  ASSERT_TRUE(module);
  ASSERT_EQ(::stat(module->path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0400u);
}

}  // namespace
}  // namespace mayfly::runtime
