#include "cli/image/image_reference.h"

#include <gtest/gtest.h>

namespace mayfly::cli {
namespace {

TEST(ImageReference, HasAHostAPathAndATag) {
  const auto reference = ParseImageReference("registry.example.com:5000/tools/thumbnail:1.2");
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->host, "registry.example.com:5000");
  EXPECT_EQ(reference->path, "tools/thumbnail");
  EXPECT_EQ(reference->tag, "1.2");
  EXPECT_EQ(reference->Server(), reference->host);
  EXPECT_EQ(ParseImageReference("localhost/hello")->tag, "latest");
}

TEST(ImageReference, IsDockerHubsWithoutAHost) {
  const auto reference = ParseImageReference("ada/hello");
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ(reference->Name(), "docker.io/ada/hello");
  EXPECT_EQ(reference->Server(), "registry-1.docker.io");
}

TEST(ImageReference, RefusesWhatIsNone) {
  for (const char* text : {"", "hello", "h.io/", "h.io/A", "h.io/a//b", "h.io/a/../b",
                           "h.io/a:", "h.io/a:b/c", "h.io/a@sha256:00", "h.io /a", "https://h.io/a"})
    EXPECT_FALSE(ParseImageReference(text).ok()) << text;
}

}  // namespace
}  // namespace mayfly::cli
