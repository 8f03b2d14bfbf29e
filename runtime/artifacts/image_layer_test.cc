#include "runtime/artifacts/image_layer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file_descriptor.h"
#include "runtime/artifacts/image_testing.h"

namespace mayfly::runtime {
namespace {

using ::testing::HasSubstr;

class ImageLayerTest : public ::testing::Test {
 protected:
  // "file CONTENT", "nothing", "removal", or why not.
  std::string Take(const std::string& layer) {
    const base::FileDescriptor from(::memfd_create("layer", MFD_CLOEXEC));
    const base::FileDescriptor to(::memfd_create("file", MFD_CLOEXEC));
    EXPECT_EQ(::write(from.get(), layer.data(), layer.size()), static_cast<ssize_t>(layer.size()));
    DigestFile file(to.get());
    const auto has = TakeFromLayer(from.get(), "module.so", file, bounds_);
    if (!has.ok()) return std::string(has.status().message());
    if (*has != LayerHas::kFile) return *has == LayerHas::kNothing ? "nothing" : "removal";
    std::string content(file.size(), '\0');
    EXPECT_EQ(::pread(to.get(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(file.Digest(), base::Sha256Hex(content));
    return "file " + content;
  }

  LayerBounds bounds_{.most_file_bytes = 1u << 20,
                      .most_unpacked_bytes = 2u << 20,
                      .deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60)};
};

TEST_F(ImageLayerTest, GivesTheFileHoweverItIsPacked) {
  const std::vector<TarFile> files = {{.name = "etc/motd", .content = "hi"},
                                      {.name = "module.so", .content = "elf"}};
  EXPECT_EQ(Take(MakeLayer(files)), "file elf");
  EXPECT_EQ(Take(MakeLayer(files, Packing::kGzip)), "file elf");
  EXPECT_EQ(Take(MakeLayer(files, Packing::kZstd)), "file elf");
  EXPECT_EQ(Take(MakeLayer({{.name = "./module.so", .content = "elf"}})), "file elf");
  EXPECT_EQ(Take(MakeLayer({{.name = "/module.so", .content = "elf"}})), "file elf");
}

TEST_F(ImageLayerTest, GivesTheLastOfTheName) {
  EXPECT_EQ(Take(MakeLayer({{.name = "module.so", .content = "the longer first"},
                            {.name = "module.so", .content = "b"}})),
            "file b");
}

TEST_F(ImageLayerTest, TellsWhatLowerLayersMayHave) {
  EXPECT_EQ(Take(MakeLayer(
                {{.name = "lib/module.so", .content = "elf"}, {.name = "module.so.1", .content = "elf"}})),
            "nothing");
  EXPECT_EQ(Take(MakeLayer({{.name = ".wh.module.so"}})), "removal");
  EXPECT_EQ(Take(MakeLayer({{.name = ".wh..wh..opq"}})), "removal");
  EXPECT_EQ(Take(MakeLayer({{.name = "module.so", .content = "elf"}, {.name = ".wh..wh..opq"}})), "file elf");
}

TEST_F(ImageLayerTest, FollowsNoLinksAndTakesNoDevices) {
  for (const TarFile& file :
       {TarFile{.name = "module.so", .link = "/etc/passwd"},
        TarFile{.name = "module.so", .hard_link = "etc/passwd"},
        TarFile{.name = "module.so", .type = AE_IFDIR}, TarFile{.name = "module.so", .type = AE_IFIFO}})
    EXPECT_THAT(Take(MakeLayer({file})), HasSubstr("it must be a plain file"));
}

TEST_F(ImageLayerTest, RefusesNamesThatLeadOut) {
  EXPECT_THAT(Take(MakeLayer({{.name = "../module.so", .content = "elf"}})), HasSubstr("(..)"));
  EXPECT_THAT(Take(MakeLayer({{.name = "a/../../module.so", .content = "elf"}})), HasSubstr("(..)"));
}

TEST_F(ImageLayerTest, RefusesWhatIsCutOffOrNoTar) {
  const std::string layer = MakeLayer({{.name = "module.so", .content = std::string(100'000, 'x')}});
  EXPECT_THAT(Take(layer.substr(0, 50'000)), HasSubstr("no tar, or a broken one"));
  EXPECT_THAT(Take(layer.substr(0, 100)), HasSubstr("no tar, or a broken one"));
  const std::string packed = MakeLayer({{.name = "module.so", .content = "elf"}}, Packing::kGzip);
  EXPECT_THAT(Take(packed.substr(0, packed.size() / 2)), HasSubstr("no tar, or a broken one"));
  EXPECT_THAT(Take("this is no tar at all"), HasSubstr("no tar, or a broken one"));
  EXPECT_THAT(Take(""), HasSubstr("no tar, or a broken one"));
}

TEST_F(ImageLayerTest, IsStoppedAtItsBounds) {
  const std::string zeros(1u << 20, '\0');
  EXPECT_THAT(Take(MakeLayer({{.name = "module.so", .content = zeros + "x"}}, Packing::kGzip)),
              HasSubstr("more than 1048576 bytes"));
  // Some kilobytes that unpack to some megabytes, beside the module.
  for (const Packing packing : {Packing::kGzip, Packing::kZstd}) {
    const std::string bomb =
        MakeLayer({{.name = "a", .content = zeros + zeros + zeros}, {.name = "module.so"}}, packing);
    EXPECT_LT(bomb.size(), 10'000u);
    EXPECT_THAT(Take(bomb), HasSubstr("unpacks to more than 2097152 bytes"));
  }
  bounds_.deadline = std::chrono::steady_clock::now();
  EXPECT_THAT(Take(MakeLayer({{.name = "module.so", .content = "elf"}})), HasSubstr("in time"));
}

}  // namespace
}  // namespace mayfly::runtime
