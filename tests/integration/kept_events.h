// A `mayfly up` that keeps its events over restarts, and the folder that it serves.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/temp_dir.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly::testing {

class KeptEventsTest : public ::testing::Test {
 protected:
  // A function with that test module, or with none yet if `module` is ""; `spec` is more of its manifest.
  void Add(const std::string& name, const std::string& module, const std::string& spec = "") {
    std::filesystem::create_directories(temp_ / "f");
    if (!module.empty())
      std::filesystem::copy_file(std::filesystem::path(MAYFLY_TEST_MODULE_DIR) / (module + ".so"),
                                 temp_ / absl::StrCat("f/", name, ".so"));
    base::WriteFile(temp_ / absl::StrCat("f/", name, ".yaml"),
                    absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: ", name,
                                 "}\nspec:\n  artifact: {path: ", name, ".so}\n", spec));
  }
  // Serves f/, once it is ready.
  std::unique_ptr<RunningMayfly> Up() {
    auto up = std::make_unique<RunningMayfly>(
        temp_ / "run", std::vector<std::string>{"up", "--port", "0", "--data", temp_ / "data", temp_ / "f"});
    EXPECT_TRUE(up->WaitUntilReady()) << up->out() << up->err();
    return up;
  }
  // What a command prints that has to succeed.
  std::string Run(const std::vector<std::string>& arguments) {
    const Ran ran = RunMayfly(temp_ / "run", arguments);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return ran.out;
  }

  base::TempDir temp_;
};

}  // namespace mayfly::testing
