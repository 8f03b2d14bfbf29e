// Files that the program carries within itself: the SDK and the templates of `mayfly new`. Made by embed.cmake.
#pragma once

#include <string_view>
#include <vector>

namespace mayfly::cli {

struct EmbeddedFile {
  std::string_view path;  // below the folder it comes from
  std::string_view content;
};

// sdk/: include/mayfly/*, cmake/MayflyFunction.cmake.
const std::vector<EmbeddedFile>& SdkFiles();
// cli/templates/: cpp/*, c/*, rust/*.
const std::vector<EmbeddedFile>& TemplateFiles();

}  // namespace mayfly::cli
