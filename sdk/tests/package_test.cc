// The package as a user has it: installed into a prefix of its own, and a project of theirs built from it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "mayfly/testing.hpp"

namespace {

namespace fs = std::filesystem;

class PackageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mayfly-package-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    ASSERT_EQ(
        Run("\"" MAYFLY_CMAKE "\" --install \"" MAYFLY_BUILD_DIR "\" --component sdk --prefix " + prefix()),
        0)
        << Log();
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string prefix() const { return (root_ / "prefix").string(); }
  std::string Log() const {
    std::ifstream file(root_ / "log");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  int Run(const std::string& command) const {
    return std::system((command + " >" + (root_ / "log").string() + " 2>&1").c_str());
  }
  void Write(const std::string& name, const std::string& content) const {
    fs::create_directories(root_ / "project");
    std::ofstream(root_ / "project" / name) << content;
  }
  int Configure() const {
    return Run("\"" MAYFLY_CMAKE "\" -S " + (root_ / "project").string() + " -B " +
               (root_ / "build").string() + " -DCMAKE_PREFIX_PATH=" + prefix());
  }
  int Build() const { return Run("\"" MAYFLY_CMAKE "\" --build " + (root_ / "build").string()); }

  fs::path root_;
};

constexpr char kProject[] =
    "cmake_minimum_required(VERSION 3.20)\n"
    "project(user LANGUAGES CXX C)\n"
    "find_package(mayfly 0.1 REQUIRED)\n";

TEST_F(PackageTest, BuildsAUsersFunctionThatAnswers) {
  Write("CMakeLists.txt", std::string(kProject) + "mayfly_add_function(NAME hi SOURCES hi.cc)\n");
  Write("hi.cc",
        "#include <mayfly/function.hpp>\n"
        "static mayfly::Reply Hi(const mayfly::Event&) { return mayfly::Reply::Text(\"hi\"); }\n"
        "MAYFLY_FUNCTION(\"hi\", Hi)\n");
  ASSERT_EQ(Configure(), 0) << Log();
  ASSERT_EQ(Build(), 0) << Log();
  const std::string module = (root_ / "build/hi.so").string();
  EXPECT_EQ(mayfly::testing::Module::Open(module).Create().Invoke({}).body, "hi");
  // One symbol is visible, and there is a build id for backtraces.
  ASSERT_EQ(Run("nm -D --defined-only " + module + " | grep -v mayfly_module_v1 | grep -c ' [TDB] '"), 256)
      << Log();
  ASSERT_EQ(Run("readelf -n " + module + " | grep -q 'Build ID'"), 0);
}

TEST_F(PackageTest, RefusesASymbolThatNobodyDefinesWhileLinking) {
  Write("CMakeLists.txt", std::string(kProject) + "mayfly_add_function(NAME hi SOURCES hi.c)\n");
  Write("hi.c",
        "#include <mayfly/function.h>\n"
        "extern int nowhere(void);\n"
        "const mayfly_module* mayfly_module_v1(const mayfly_host* host) { (void)host; nowhere(); return 0; "
        "}\n");
  ASSERT_EQ(Configure(), 0) << Log();
  EXPECT_NE(Build(), 0);
  EXPECT_NE(Log().find("nowhere"), std::string::npos) << Log();
}

TEST_F(PackageTest, NamesAWrongArgument) {
  Write("CMakeLists.txt", std::string(kProject) + "mayfly_add_function(NAME Hi SOURCES hi.c)\n");
  EXPECT_NE(Configure(), 0);
  EXPECT_NE(Log().find("NAME \"Hi\" must be"), std::string::npos) << Log();
}

}  // namespace
