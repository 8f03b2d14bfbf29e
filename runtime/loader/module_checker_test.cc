#include "runtime/loader/module_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/loader/testing.h"

namespace mayfly::runtime {
namespace {

using ::testing::AllOf;
using testing::AsBytes;
using ::testing::HasSubstr;
using testing::ModulePath;
using testing::ReadFile;

class ModuleCheckerTest : public ::testing::Test {
 protected:
  CheckVerdict Check(const std::string& content, const std::string& origin = "",
                     const std::string& library_path = "") {
    return checker_.Check(AsBytes(content), {"hello.so", origin, library_path});
  }
  v1::Problem ProblemOf(const std::string& content, const std::string& origin = "") {
    return Check(content, origin).problem.value_or(v1::Problem());
  }

  // The test program stands for the worker: the same libraries, sanitizers included.
  ModuleChecker checker_{"/proc/self/exe"};
};

TEST_F(ModuleCheckerTest, AcceptsAModuleWhoseNeedsAreAllMet) {
  const auto verdict = Check(ReadFile(ModulePath("good")));
  EXPECT_FALSE(verdict.problem) << verdict.problem->message();
  EXPECT_FALSE(verdict.needs_origin);
}

TEST_F(ModuleCheckerTest, NamesAnUnresolvedSymbolDemangled) {
  const v1::Problem problem = ProblemOf(ReadFile(ModulePath("needs_symbol")));
  EXPECT_EQ(problem.reason(), "MissingSymbol");
  EXPECT_EQ(problem.component(), "runtime");
  EXPECT_THAT(problem.message(),
              AllOf(HasSubstr("hello.so has an unresolved symbol: photos::Resize(int, char const*)"),
                    HasSubstr("-Wl,-z,defs")));
}

TEST_F(ModuleCheckerTest, NamesALibraryThatIsNotThere) {
  const v1::Problem problem = ProblemOf(ReadFile(ModulePath("needs_library")));
  EXPECT_EQ(problem.reason(), "MissingLibrary");
  EXPECT_THAT(problem.message(),
              HasSubstr("hello.so needs the library libresize.so, which is not on this machine"));
}

TEST_F(ModuleCheckerTest, FindsLibrariesBesideTheModuleAndSaysSo) {
  const std::string content = ReadFile(ModulePath("needs_library_beside"));
  const CheckVerdict verdict = Check(content, LOADER_TEST_DIR);
  EXPECT_FALSE(verdict.problem) << verdict.problem->message();
  EXPECT_TRUE(verdict.needs_origin);
  EXPECT_THAT(ProblemOf(content).message(),
              HasSubstr("the module was sent by itself, so $ORIGIN has nothing beside it"));
}

TEST_F(ModuleCheckerTest, SearchesTheWorkersLibraryPath) {
  const CheckVerdict verdict = Check(ReadFile(ModulePath("needs_library")), "", "/nowhere:" LOADER_TEST_DIR);
  EXPECT_FALSE(verdict.problem) << verdict.problem->message();
  EXPECT_FALSE(verdict.needs_origin);
}

TEST_F(ModuleCheckerTest, NamesANewerGlibcWithBothVersions) {
  std::string content = ReadFile(ModulePath("good"));
  const std::size_t at = content.find("GLIBC_2.");
  ASSERT_NE(at, std::string::npos);
  content[at + 6] = '9';
  const v1::Problem problem = ProblemOf(content);
  EXPECT_EQ(problem.reason(), "NewerGlibc");
  EXPECT_THAT(problem.message(), AllOf(HasSubstr("needs GLIBC_9."), HasSubstr("goes up to GLIBC_2."),
                                       HasSubstr("build it on an older one")));
}

TEST_F(ModuleCheckerTest, NamesANewerLibstdcxx) {
  std::string content = ReadFile(ModulePath("good"));
  const std::size_t at = content.find("GLIBCXX_3.");
  if (at == std::string::npos) GTEST_SKIP() << "this compiler's std::string needs no versioned symbol";
  content[at + 8] = '9';
  const v1::Problem problem = ProblemOf(content);
  EXPECT_EQ(problem.reason(), "NewerLibstdcxx");
  EXPECT_THAT(problem.message(), AllOf(HasSubstr("GLIBCXX_9."), HasSubstr("newer compiler")));
}

TEST_F(ModuleCheckerTest, TellsAnotherAbiFromNoModule) {
  const v1::Problem other = ProblemOf(ReadFile(ModulePath("abi_v2")));
  EXPECT_EQ(other.reason(), "AbiMismatch");
  EXPECT_THAT(other.message(), HasSubstr("version 2 of Mayfly's module ABI"));
  const v1::Problem none = ProblemOf(ReadFile(ModulePath("libresize")));
  EXPECT_EQ(none.reason(), "NoModuleSymbol");
  EXPECT_THAT(none.message(), HasSubstr("does not export mayfly_module_v1"));
}

TEST_F(ModuleCheckerTest, RefusesAProgram) {
  const v1::Problem problem = ProblemOf(ReadFile("/proc/self/exe"));
  EXPECT_EQ(problem.reason(), "NotSharedObject");
  EXPECT_THAT(problem.message(), HasSubstr("is a program, not a shared object"));
}

TEST_F(ModuleCheckerTest, NeverPutsBytesOfTheFileIntoASentenceThatAreNotText) {
  std::string content = ReadFile(ModulePath("needs_library"));
  for (std::size_t at = 0; (at = content.find("libresize.so", at)) != std::string::npos; ++at)
    content[at + 3] = '\x1b';
  EXPECT_THAT(ProblemOf(content).message(), HasSubstr("lib?esize.so"));
}

}  // namespace
}  // namespace mayfly::runtime
