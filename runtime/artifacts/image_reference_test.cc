#include "runtime/artifacts/image_reference.h"

#include <gtest/gtest.h>

namespace mayfly::runtime {
namespace {

// "HOST PATH TAG DIGEST", the digest by its first digit; "none" if it is no reference.
std::string Parse(const std::string& text) {
  const auto reference = ParseImageReference(text);
  if (!reference) return "none";
  return reference->host + " " + reference->path + " " + reference->tag + " " +
         reference->digest.substr(0, 1);
}

TEST(ImageReference, IsHostPathTagAndDigest) {
  const std::string digest = "@sha256:" + std::string(64, 'a');
  EXPECT_EQ(Parse("registry.example.com/tools/thumbnail:1"), "registry.example.com tools/thumbnail 1 ");
  EXPECT_EQ(Parse("registry:5000/a" + digest), "registry:5000 a latest a");
  EXPECT_EQ(Parse("localhost/a:1" + digest), "localhost a 1 a");
  EXPECT_EQ(Parse("[::1]:5000/a"), "[::1]:5000 a latest ");
}

TEST(ImageReference, WithoutAHostIsDockerHubs) {
  EXPECT_EQ(Parse("nginx"), "docker.io library/nginx latest ");
  EXPECT_EQ(Parse("ada/hello:2"), "docker.io ada/hello 2 ");
  EXPECT_EQ(ParseImageReference("ada/hello")->Server(), "registry-1.docker.io");
}

TEST(ImageReference, IsNoneIfItCouldLeadElsewhere) {
  for (const char* text :
       {"", "h.x/", "h.x/a/../b", "h.x//a", "h.x/A", "h.x/a:", "h.x/a?b=c", "h.x/a#b", "h.x:/a", "ada@h.x/a",
        "h.x/a@sha256:12", "h.x/a@md5:12", "h.x/a b", "h.x/a\nb", "https://h.x/a"})
    EXPECT_EQ(Parse(text), "none") << text;
  EXPECT_EQ(Parse("h.x/a@sha256:" + std::string(64, 'A')), "none");
}

}  // namespace
}  // namespace mayfly::runtime
