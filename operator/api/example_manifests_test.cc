// The examples' manifests: each is valid, and names a module that this tree builds.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "operator/api/manifest.h"
#include "operator/api/triggers.h"

namespace {

namespace fs = std::filesystem;
using mayfly::op::Function;

const fs::path kExamples = fs::path(MAYFLY_SOURCE_DIR) / "examples";

TEST(ExampleManifests, AreValidAndNameTheirModules) {
  std::set<std::string> found;
  std::set<std::string> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(kExamples)) {
    const fs::path file = entry.path() / "function.yaml";
    if (!fs::exists(file)) continue;
    const mayfly::op::Manifest manifest = mayfly::op::ReadManifestFile(file);
    ASSERT_TRUE(manifest.ok()) << manifest.AllMistakes().front().ToString();
    const Function& function = *manifest.documents.at(0).function;
    EXPECT_EQ(function.name, entry.path().filename());
    found.insert(function.name);
    const fs::path module = function.spec.artifact.path;
    if (function.name == "hello-rust") {
      EXPECT_EQ(module, kExamples / "hello-rust/target/release/libhello_rust.so");
    } else {
      EXPECT_EQ(module, fs::path(MAYFLY_SOURCE_DIR) / "build/release/examples" / (function.name + ".so"));
    }
    for (const auto& trigger : mayfly::op::EffectiveHttpTriggers(function)) {
      EXPECT_TRUE(paths.insert(trigger.http->path).second) << trigger.http->path << " is served twice";
    }
  }
  EXPECT_EQ(found, (std::set<std::string>{"echo", "hello", "hello-c", "hello-rust", "thumbnail"}));
}

TEST(ExampleManifests, LetAnImageOf20MegabytesIn) {
  const auto manifest = mayfly::op::ReadManifestFile(kExamples / "thumbnail/function.yaml");
  ASSERT_TRUE(manifest.ok());
  EXPECT_GE(manifest.documents.at(0).function->spec.max_request_bytes, 20u << 20);
}

}  // namespace
