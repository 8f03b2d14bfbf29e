// From nothing to a changed answer: new, build, dev, edit, for each language.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly {
namespace {

using base::Eventually;
using base::TempDir;
using base::WriteFile;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::Ran;
using testing::RunMayfly;
using testing::RunningMayfly;
namespace fs = std::filesystem;

class CliDevTest : public ::testing::Test {
 protected:
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void Edit(const std::string& path, const std::string& from, const std::string& to) {
    WriteFile(path, absl::StrReplaceAll(Read(path), {{from, to}}));
  }
  static std::string Ask(const RunningMayfly& mayfly, const std::string& path, const std::string& body) {
    httplib::Client client(mayfly.url());
    client.set_read_timeout(30);
    const httplib::Result result = client.Post(path.c_str(), body, "text/plain");
    return result ? absl::StrCat(result->status, " ", result->body) : httplib::to_string(result.error());
  }

  TempDir temp_;
};

class CliDevLanguageTest : public CliDevTest,
                           public ::testing::WithParamInterface<std::tuple<std::string, std::string>> {};

TEST_P(CliDevLanguageTest, AnEditChangesTheAnswer) {
  const auto& [language, source] = GetParam();
  if (language == "rust" && std::system("command -v cargo >/dev/null") != 0)
    GTEST_SKIP() << "cargo is not installed";
  const Ran made = RunMayfly(temp_ / "run", {"new", "my-fn", "--lang", language}, temp_.path());
  ASSERT_EQ(made.exit_code, 0) << made.err;
  RunningMayfly mayfly(temp_ / "run", {"dev", "--port", "0"}, temp_ / "my-fn");
  ASSERT_TRUE(mayfly.WaitUntilReady(seconds(120))) << mayfly.out() << mayfly.err();
  EXPECT_EQ(Ask(mayfly, "/my-fn", "Ada"), "200 Hello, Ada!\n") << mayfly.err();

  Edit(temp_ / "my-fn/" + source, "Hello", "Goodbye");
  EXPECT_TRUE(Eventually([&] { return Ask(mayfly, "/my-fn", "Ada") == "200 Goodbye, Ada!\n"; }, seconds(60)))
      << mayfly.err();
  // The new module is served the moment that it is there; the line comes when the tools have ended.
  EXPECT_TRUE(Eventually([&] { return mayfly.err().find("rebuilt my-fn in ") != std::string::npos; }))
      << mayfly.err();

  // What does not compile is shown, and the code before it goes on serving.
  Edit(temp_ / "my-fn/" + source, "Goodbye, ", "\" this is wrong");
  EXPECT_TRUE(Eventually([&] { return mayfly.err().find("could not build my-fn") != std::string::npos; },
                         seconds(60)))
      << mayfly.err();
  EXPECT_THAT(mayfly.err(), HasSubstr("error"));
  EXPECT_EQ(Ask(mayfly, "/my-fn", "Ada"), "200 Goodbye, Ada!\n");
  mayfly.Signal(SIGINT);
  EXPECT_EQ(mayfly.Wait(), 0);
}

INSTANTIATE_TEST_SUITE_P(Languages, CliDevLanguageTest,
                         ::testing::Values(std::tuple("c", "my-fn.c"), std::tuple("cpp", "my-fn.cc"),
                                           std::tuple("rust", "src/lib.rs")),
                         [](const auto& each) { return std::get<0>(each.param); });

TEST_F(CliDevTest, AnEditThatIsSavedWhileItBuildsIsBuiltToo) {
  ASSERT_EQ(RunMayfly(temp_ / "run", {"new", "my-fn", "--lang", "c"}, temp_.path()).exit_code, 0);
  // A compiler that has read its source and writes its object late: after the edit.
  WriteFile(temp_ / "slow-cc",
            absl::StrCat("#!/bin/sh\ncc \"$@\" || exit\ncase \"$*\" in *my-fn.c*) ;; *) exit;; esac\n"
                         "touch ",
                         temp_ / "read", "\nwhile [ -e ", temp_ / "hold",
                         " ]; do sleep 0.01; done\nfor each; do [ \"$before\" = -o ] && touch \"$each\"; "
                         "before=$each; done\n"));
  fs::permissions(temp_ / "slow-cc", fs::perms::owner_all);
  ::setenv("CC", (temp_ / "slow-cc").c_str(), 1);
  RunningMayfly mayfly(temp_ / "run", {"dev", "--port", "0"}, temp_ / "my-fn");
  ::unsetenv("CC");
  ASSERT_TRUE(mayfly.WaitUntilReady(seconds(120))) << mayfly.out() << mayfly.err();
  fs::remove(temp_ / "read");
  WriteFile(temp_ / "hold", "");
  Edit(temp_ / "my-fn/my-fn.c", "Hello", "First");
  ASSERT_TRUE(Eventually([&] { return fs::exists(temp_ / "read"); }, seconds(60))) << mayfly.err();
  Edit(temp_ / "my-fn/my-fn.c", "First", "Second");
  fs::remove(temp_ / "hold");
  EXPECT_TRUE(Eventually([&] { return Ask(mayfly, "/my-fn", "Ada") == "200 Second, Ada!\n"; }, seconds(60)))
      << Ask(mayfly, "/my-fn", "Ada") << mayfly.err();
}

TEST_F(CliDevTest, EachExampleIsAProjectOfItsOwn) {
  // Where function.yaml looks for the module, from a folder in no tree of ours.
  const std::pair<const char*, const char*> built[] = {
      {"hello-c", "build/release/examples/hello-c.so"},
      {"hello-rust", "examples/hello-rust/target/release/libhello_rust.so"}};
  for (const auto& [example, module] : built) {
    if (std::string(example) == "hello-rust" && std::system("command -v cargo >/dev/null") != 0) continue;
    const fs::path copy = temp_ / absl::StrCat("examples/", example);
    fs::create_directories(copy / "src/bin");
    const fs::path original = fs::path(MAYFLY_SOURCE_DIR) / "examples" / example;
    for (const char* const folder : {"", "src", "src/bin"}) {
      std::error_code absent;
      for (fs::directory_iterator it(original / folder, absent), end; it != end; ++it) {
        if (it->is_regular_file()) fs::copy_file(it->path(), copy / folder / it->path().filename());
      }
    }
    const Ran ran = RunMayfly(temp_ / "run", {"build", copy});
    EXPECT_EQ(ran.exit_code, 0) << ran.out << ran.err;
    EXPECT_TRUE(fs::exists(temp_ / module)) << ran.out << ran.err;
  }
}

TEST_F(CliDevTest, NewOverwritesNothing) {
  WriteFile(temp_ / "mine/file", "mine");
  const Ran ran = RunMayfly(temp_ / "run", {"new", "mine"}, temp_.path());
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("mine exists already"));
  EXPECT_EQ(RunMayfly(temp_ / "run", {"new", "Not_A_Name"}, temp_.path()).exit_code, 2);
}

TEST_F(CliDevTest, BuildTakesASingleFile) {
  ASSERT_EQ(RunMayfly(temp_ / "run", {"new", "one", "--lang", "c"}, temp_.path()).exit_code, 0);
  fs::remove(temp_ / "one/CMakeLists.txt");
  const Ran ran = RunMayfly(temp_ / "run", {"build", "one/one.c"}, temp_.path());
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("built one.c in "));
  EXPECT_TRUE(fs::exists(temp_ / "one/build/one.so"));
}

TEST_F(CliDevTest, BuildSaysWhatIsWrong) {
  const Ran nothing = RunMayfly(temp_ / "run", {"build"}, temp_.path());
  EXPECT_EQ(nothing.exit_code, 6);
  EXPECT_THAT(nothing.err, HasSubstr("CMakeLists.txt"));
  WriteFile(temp_ / "broken.c", "this is no C\n");
  const Ran broken = RunMayfly(temp_ / "run", {"build", "broken.c"}, temp_.path());
  EXPECT_EQ(broken.exit_code, 6);
  EXPECT_THAT(broken.err, HasSubstr("error"));
}

}  // namespace
}  // namespace mayfly
