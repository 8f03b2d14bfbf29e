#include "cli/image/module_image.h"

#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace mayfly::cli {
namespace {

// This program is an ELF file for this machine; its beginning says so.
std::string ThisProgram() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  std::string beginning(std::size_t{1} << 20, '\0');
  file.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  return beginning;
}

std::string Elf(char machine) {
  std::string elf(64, '\0');
  elf.replace(0, 4,
              "\x7f"
              "ELF");
  elf[18] = machine;
  return elf;
}

TEST(ModuleImage, IsTheSameForTheSameModule) {
  const auto first = MakeModuleImage(ThisProgram());
  const auto second = MakeModuleImage(ThisProgram());
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->manifest.digest, second->manifest.digest);
  EXPECT_NE(MakeModuleImage(ThisProgram() + "x")->manifest.digest, first->manifest.digest);
  // A change of the form gives all images new digests: meant, or not?
  EXPECT_EQ(MakeModuleImage(Elf(62))->manifest.digest,
            "sha256:3118159f7111e806348270c32b96b4b67546d9cc9c1c6f1abc0e20fb9ab27805");
}

TEST(ModuleImage, IsForTheMachineOfItsModule) {
  EXPECT_THAT(MakeModuleImage(Elf(62))->config.content, ::testing::HasSubstr(R"("architecture":"amd64")"));
  EXPECT_THAT(MakeModuleImage(Elf(static_cast<char>(183)))->config.content,
              ::testing::HasSubstr(R"("architecture":"arm64")"));
  EXPECT_FALSE(MakeModuleImage(Elf(3)).ok());
  EXPECT_FALSE(MakeModuleImage("#!/bin/sh").ok());
}

TEST(ModuleImage, NamesEachPartByItsDigestAndSize) {
  const auto image = MakeModuleImage(ThisProgram());
  const auto manifest = nlohmann::json::parse(image->manifest.content);
  EXPECT_EQ(manifest["config"]["digest"], image->config.digest);
  EXPECT_EQ(manifest["layers"][0]["digest"], image->layer.digest);
  EXPECT_EQ(manifest["layers"][0]["size"], image->layer.content.size());
  EXPECT_EQ(nlohmann::json::parse(image->config.content)["rootfs"]["diff_ids"][0], image->layer.digest);
}

}  // namespace
}  // namespace mayfly::cli
