#include "operator/api/image_name.h"

#include <gtest/gtest.h>

namespace mayfly::op {
namespace {

TEST(ImageName, IsARegistryAndARepository) {
  EXPECT_EQ(SplitImageName("registry.example.com/tools/a:1"), (ImageName{"registry.example.com", "tools/a"}));
  EXPECT_EQ(SplitImageName("registry:5000/a@sha256:12"), (ImageName{"registry:5000", "a"}));
  EXPECT_EQ(SplitImageName("localhost/a"), (ImageName{"localhost", "a"}));
  EXPECT_EQ(SplitImageName("ada/hello:1"), (ImageName{"docker.io", "ada/hello"}));
  EXPECT_EQ(SplitImageName("nginx"), (ImageName{"docker.io", "nginx"}));
}

}  // namespace
}  // namespace mayfly::op
