// The thumbnail example on real images, made by libvips here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vips/vips8>

#include "mayfly/testing.hpp"

namespace {

using mayfly::testing::Answer;
using mayfly::testing::Instance;
using mayfly::testing::Module;
using mayfly::testing::Request;
using ::testing::HasSubstr;
using vips::VImage;

std::uint32_t Crc32(const std::string& data) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int n = 0; n < 8; n++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

class ThumbnailTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_EQ(VIPS_INIT("thumbnail_test"), 0); }

  // Noise, so that the file is as large as a photograph of that size.
  static std::string Encode(int width, int height, const std::string& suffix, int bands = 3) {
    std::vector<VImage> channels;
    for (int n = 0; n < bands; n++) channels.push_back(VImage::gaussnoise(width, height));
    const VImage image = VImage::bandjoin(channels)
                             .cast(VIPS_FORMAT_UCHAR)
                             .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB));
    void* bytes = nullptr;
    std::size_t size = 0;
    image.write_to_buffer(suffix.c_str(), &bytes, &size);
    std::string result(static_cast<const char*>(bytes), size);
    g_free(bytes);
    return result;
  }
  static VImage Decode(const Answer& answer) {
    return VImage::new_from_buffer(answer.body.data(), answer.body.size(), "");
  }
  static std::string Loader(const Answer& answer) {
    const char* name = vips_foreign_find_load_buffer(answer.body.data(), answer.body.size());
    return name == nullptr ? "" : name;
  }
  Answer Post(std::string body, std::string query = "", mayfly::testing::Pairs headers = {}) {
    Request request;
    request.method = "POST";
    request.body = std::move(body);
    request.query = std::move(query);
    request.headers = std::move(headers);
    return thumbnail_.Invoke(request);
  }

  Module module_ = Module::Open(MAYFLY_EXAMPLE_DIR "/thumbnail.so");
  Instance thumbnail_ = module_.Create("resize", R"({"width": 256})");
};

TEST_F(ThumbnailTest, ShrinksAJpegToTheConfiguredWidth) {
  const Answer answer = Post(Encode(1600, 1200, ".jpg"));
  ASSERT_TRUE(answer.ok) << answer.failure;
  ASSERT_EQ(answer.status, 200u) << answer.body;
  EXPECT_EQ(answer.content_type, "image/jpeg");
  EXPECT_EQ(Decode(answer).width(), 256);
  EXPECT_EQ(Decode(answer).height(), 192);
  EXPECT_THAT(Loader(answer), HasSubstr("Jpeg"));
  EXPECT_EQ(answer.Header("x-image-width"), "256");
}

TEST_F(ThumbnailTest, AnswersWebpToWhoAcceptsOrAsksForIt) {
  const std::string png = Encode(400, 300, ".png");
  const Answer accepted = Post(png, "", {{"accept", "image/avif,image/webp,*/*"}});
  EXPECT_EQ(accepted.content_type, "image/webp");
  EXPECT_THAT(Loader(accepted), HasSubstr("Webp"));
  EXPECT_EQ(Post(png, "format=webp").content_type, "image/webp");
  EXPECT_EQ(Post(png, "format=jpeg", {{"accept", "image/webp"}}).content_type, "image/jpeg");
  EXPECT_EQ(Post(png, "", {{"accept", "*/*"}}).content_type, "image/jpeg");
}

TEST_F(ThumbnailTest, TakesTheWidthOfTheQueryAndNeverEnlarges) {
  const std::string image = Encode(300, 300, ".jpg");
  EXPECT_EQ(Decode(Post(image, "width=100")).width(), 100);
  EXPECT_EQ(Decode(Post(image, "width=4096")).width(), 300);
}

TEST_F(ThumbnailTest, PutsTransparencyOnWhite) {
  const Answer answer = Post(Encode(300, 300, ".png", 4));
  ASSERT_EQ(answer.status, 200u) << answer.body;
  EXPECT_EQ(Decode(answer).bands(), 3);
}

TEST_F(ThumbnailTest, RefusesWhatIsNoImage) {
  EXPECT_EQ(Post("").status, 400u);
  EXPECT_EQ(Post("hello").status, 415u);
  EXPECT_EQ(Post("<svg xmlns=\"http://www.w3.org/2000/svg\"/>").status, 415u);
  EXPECT_EQ(Post("GIF89a").status, 415u);
  const Answer broken = Post("\xff\xd8\xff\xe0 and nothing more");
  EXPECT_EQ(broken.status, 400u);
  EXPECT_THAT(broken.body, HasSubstr("\"error\":\"the image cannot be decoded"));
  EXPECT_EQ(broken.content_type, "application/json");
}

TEST_F(ThumbnailTest, RefusesATruncatedImage) {
  for (const std::string suffix : {".jpg", ".png"}) {
    std::string image = Encode(800, 800, suffix);
    image.resize(image.size() / 2);
    EXPECT_EQ(Post(image).status, 400u) << suffix;
  }
  EXPECT_EQ(Post(Encode(100, 100, ".jpg")).status, 200u) << "the next image is served";
}

TEST_F(ThumbnailTest, RefusesAnImageWithDamageWithin) {
  for (const std::string suffix : {".jpg", ".png"}) {
    std::string image = Encode(800, 800, suffix);
    for (std::size_t i = 0; i < 200; ++i) image[image.size() / 2 + i] = static_cast<char>(i * 37);
    EXPECT_EQ(Post(image).status, 400u) << suffix;
  }
  EXPECT_EQ(Post(Encode(100, 100, ".jpg")).status, 200u) << "the next image is served";
}

TEST_F(ThumbnailTest, RefusesWrongParameters) {
  const std::string image = Encode(100, 100, ".jpg");
  for (const char* query :
       {"width=0", "width=-1", "width=abc", "width=5000", "width=10px", "width=", "format=gif"}) {
    EXPECT_EQ(Post(image, query).status, 400u) << query;
  }
}

TEST_F(ThumbnailTest, RefusesAPngThatClaimsHugeDimensions) {
  // The size stands in big-endian at byte 16, within the chunk whose checksum follows at byte 29.
  std::string bomb = Encode(16, 16, ".png");
  for (const std::size_t at : {16u, 20u}) bomb.replace(at, 4, std::string("\x00\x00\xea\x60", 4));
  const std::uint32_t checksum = Crc32(bomb.substr(12, 17));
  for (int n = 0; n < 4; n++)
    bomb[29 + static_cast<std::size_t>(n)] = static_cast<char>(checksum >> (24 - 8 * n) & 0xff);
  EXPECT_EQ(Post(bomb).status, 413u);
}

TEST_F(ThumbnailTest, TakesAPhotographOf20Megabytes) {
  const std::string image = Encode(5200, 4000, ".jpg[Q=95]");
  ASSERT_GT(image.size(), 15u << 20);
  const Answer answer = Post(image);
  ASSERT_EQ(answer.status, 200u) << answer.body;
  EXPECT_EQ(Decode(answer).width(), 256);
  EXPECT_LT(answer.body.size(), 200u << 10);
}

TEST_F(ThumbnailTest, RefusesAWrongConfig) {
  EXPECT_THROW((void)module_.Create("resize", R"({"width": "wide"})"), std::runtime_error);
  EXPECT_THROW((void)module_.Create("resize", R"({"width": 0})"), std::runtime_error);
}

// A thread in create() would cost the fork server: a new worker would take milliseconds instead of a fork.
TEST(ThumbnailProcess, StartsNoThreadInCreate) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                         std::filesystem::directory_iterator());
  };
  const auto before = threads();
  const Module module = Module::Open(MAYFLY_EXAMPLE_DIR "/thumbnail.so");
  const Instance thumbnail = module.Create();
  EXPECT_EQ(threads(), before);
}

}  // namespace
