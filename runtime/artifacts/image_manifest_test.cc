#include "runtime/artifacts/image_manifest.h"

#include <gmock/gmock.h>

namespace mayfly::runtime {
namespace {

using ::testing::HasSubstr;

const std::string kA(64, 'a');
const std::string kB(64, 'b');

std::string Layer(const std::string& digest,
                  const std::string& type = "application/vnd.oci.image.layer.v1.tar") {
  return R"({"mediaType":")" + type + R"(","digest":"sha256:)" + digest + R"(","size":7})";
}
std::string Refusal(const std::string& json) {
  return std::string(ParseImageManifest(json).status().message());
}

TEST(ImageManifest, HasItsLayersTheLowestFirst) {
  const auto manifest =
      ParseImageManifest(R"({"schemaVersion":2,"layers":[)" + Layer(kA) + "," +
                         Layer(kB, "application/vnd.docker.image.rootfs.diff.tar.gzip") + "]}");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  ASSERT_EQ(manifest->layers.size(), 2u);
  EXPECT_EQ(manifest->layers[0].digest, kA);
  EXPECT_EQ(manifest->layers[0].bytes, 7u);
  EXPECT_EQ(manifest->layers[1].digest, kB);
  EXPECT_TRUE(manifest->platforms.empty());
}

TEST(ImageManifest, OfAnIndexHasThePlatformsThatAreImages) {
  const auto index = ParseImageManifest(R"({"manifests":[{"digest":"sha256:)" + kA +
                                        R"(","platform":{"os":"linux","architecture":"arm64"}},)" +
                                        R"({"digest":"sha256:)" + kB + R"("}]})");
  ASSERT_TRUE(index.ok()) << index.status();
  ASSERT_EQ(index->platforms.size(), 1u);
  EXPECT_EQ(index->platforms[0].platform, "linux/arm64");
  EXPECT_EQ(index->platforms[0].digest, kA);
}

TEST(ImageManifest, IsRefusedWithWhatIsWrongWithIt) {
  EXPECT_THAT(Refusal("<html>"), HasSubstr("no JSON object"));
  EXPECT_THAT(Refusal("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(Refusal("{}"), HasSubstr("without layers"));
  EXPECT_THAT(Refusal(R"({"fsLayers":[]})"), HasSubstr("schema 1"));
  EXPECT_THAT(Refusal(R"({"layers":[]})"), HasSubstr("has 0 layers"));
  EXPECT_THAT(Refusal(R"({"layers":[1]})"), HasSubstr("type \"\""));
  EXPECT_THAT(Refusal(R"({"layers":[)" + Layer(kA, "application/wasm\\u0000\\n") + "]}"),
              HasSubstr("type \"application/wasm??\""));
  EXPECT_THAT(Refusal(R"({"layers":[)" + Layer("../../etc/passwd") + "]}"), HasSubstr("without a SHA-256"));
  EXPECT_THAT(
      Refusal(R"({"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:)" + kA +
              R"(","size":-1}]})"),
      HasSubstr("without a size"));
  EXPECT_THAT(Refusal(R"({"manifests":[{"digest":"md5:1"}]})"), HasSubstr("without a SHA-256"));
  EXPECT_THAT(Refusal(R"({"manifests":[{"digest":"sha256:)" + kA + R"("}]})"), HasSubstr("no platform"));
}

TEST(ImageManifest, IsBounded) {
  std::string layers = Layer(kA);
  for (int i = 0; i < 200; ++i) layers += "," + Layer(kA);
  EXPECT_THAT(Refusal(R"({"layers":[)" + layers + "]}"), HasSubstr("has 201 layers"));
  EXPECT_THAT(Refusal(std::string(200'000, '[')), HasSubstr("no JSON object"));
}

}  // namespace
}  // namespace mayfly::runtime
