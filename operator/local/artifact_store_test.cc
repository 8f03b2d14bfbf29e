#include "operator/local/artifact_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/file_descriptor.h"
#include "base/testing/temp_dir.h"

namespace mayfly::op {
namespace {

using base::TempDir;
using base::WriteFile;
using std::chrono::milliseconds;
namespace fs = std::filesystem;

class ArtifactStoreTest : public ::testing::Test {
 protected:
  ArtifactStoreTest() : store_(temp_ / "store") { fs::create_directory(temp_ / "store"); }

  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t Snapshots() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(temp_ / "store"), {}));
  }

  TempDir temp_;
  ArtifactStore store_;
};

TEST_F(ArtifactStoreTest, NamesASnapshotByItsContent) {
  WriteFile(temp_ / "m.so", "abc");
  const absl::StatusOr<Snapshot> snapshot = store_.Take(temp_ / "m.so");
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ(snapshot->sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Read(snapshot->path), "abc");
}

TEST_F(ArtifactStoreTest, ASnapshotOutlivesItsFileBeingWrittenOver) {
  WriteFile(temp_ / "m.so", "first");
  const absl::StatusOr<Snapshot> first = store_.Take(temp_ / "m.so");
  WriteFile(temp_ / "m.so", "second");
  const absl::StatusOr<Snapshot> second = store_.Take(temp_ / "m.so");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->sha256, second->sha256);
  EXPECT_EQ(Read(first->path), "first");
  EXPECT_EQ(Read(second->path), "second");
}

TEST_F(ArtifactStoreTest, TakesNoFileThatIsStillWritten) {
  WriteFile(temp_ / "m.so", "half");
  {
    const base::FileDescriptor writer(::open((temp_ / "m.so").c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_TRUE(absl::IsUnavailable(store_.Take(temp_ / "m.so").status()));
  }
  EXPECT_TRUE(store_.Take(temp_ / "m.so").ok());
}

TEST_F(ArtifactStoreTest, KeepsEqualContentOnce) {
  WriteFile(temp_ / "a.so", "same");
  WriteFile(temp_ / "b.so", "same");
  const absl::StatusOr<Snapshot> a = store_.Take(temp_ / "a.so");
  const absl::StatusOr<Snapshot> b = store_.Take(temp_ / "b.so");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->path, b->path);
  EXPECT_EQ(Snapshots(), 1u);
}

TEST_F(ArtifactStoreTest, SaysWhatCannotBeTaken) {
  EXPECT_TRUE(absl::IsNotFound(store_.Take(temp_ / "absent.so").status()));
  fs::create_directory(temp_ / "folder.so");
  EXPECT_FALSE(store_.Take(temp_ / "folder.so").ok());
  ASSERT_EQ(::mkfifo((temp_ / "fifo.so").c_str(), 0600), 0);
  EXPECT_FALSE(store_.Take(temp_ / "fifo.so").ok());
  EXPECT_EQ(Snapshots(), 0u);
}

TEST_F(ArtifactStoreTest, CollectsOnlyWhatNobodyNeededForLong) {
  WriteFile(temp_ / "a.so", "a");
  WriteFile(temp_ / "b.so", "b");
  const absl::StatusOr<Snapshot> a = store_.Take(temp_ / "a.so");
  const absl::StatusOr<Snapshot> b = store_.Take(temp_ / "b.so");
  ASSERT_TRUE(a.ok() && b.ok());
  const auto now = std::chrono::steady_clock::now();
  store_.Collect({a->sha256}, now, milliseconds(60'000));
  EXPECT_EQ(Snapshots(), 2u);
  store_.Collect({a->sha256}, now + milliseconds(61'000), milliseconds(60'000));
  EXPECT_TRUE(fs::exists(a->path));
  EXPECT_FALSE(fs::exists(b->path));
  // What was collected is made again when it is asked for.
  const absl::StatusOr<Snapshot> again = store_.Take(temp_ / "b.so");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(Read(again->path), "b");
}

}  // namespace
}  // namespace mayfly::op
