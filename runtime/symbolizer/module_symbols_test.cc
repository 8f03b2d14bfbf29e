#include "runtime/symbolizer/module_symbols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

namespace mayfly::symbolizer {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string ModulePath(const std::string& name) {
  return std::string(MAYFLY_TEST_MODULE_DIR) + "/" + name + ".so";
}

std::string Contents(const std::string& name) {
  std::ifstream file(ModulePath(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int MemoryFile(const std::string& bytes) {
  const int fd = memfd_create("module", MFD_CLOEXEC);
  EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

// Every description that the file has, one a line.
std::string Everything(const ModuleSymbols& symbols, std::size_t size) {
  std::string all;
  for (std::size_t offset = 0; offset < size; ++offset) {
    for (const std::string& text : symbols.Describe(offset)) all += text + "\n";
  }
  return all;
}

TEST(ModuleSymbols, NamesFunctionFileAndLine) {
  const std::string bytes = Contents("segv");
  ASSERT_FALSE(bytes.empty());
  const std::string all = Everything(ModuleSymbols(MemoryFile(bytes)), bytes.size());
  EXPECT_THAT(all, HasSubstr("harm at "));
  EXPECT_THAT(all, HasSubstr("tests/modules/segv.c:8\n"));
}

TEST(ModuleSymbols, NamesCxxFunctionsWithTheirParameters) {
  const std::string bytes = Contents("crashes_in_cxx");
  ASSERT_FALSE(bytes.empty());
  const std::string all = Everything(ModuleSymbols(MemoryFile(bytes)), bytes.size());
  EXPECT_THAT(all, HasSubstr("pictures::resize(pictures::Image const&) at "));
  EXPECT_THAT(all, HasSubstr("tests/modules/crashes_in_cxx.cc:1"));
}

TEST(ModuleSymbols, KnowsNothingOfWhatIsNoElfFile) {
  EXPECT_THAT(ModuleSymbols(MemoryFile("")).Describe(0), IsEmpty());
  EXPECT_THAT(ModuleSymbols(MemoryFile(std::string(5000, 'x'))).Describe(100), IsEmpty());
  EXPECT_THAT(ModuleSymbols(-1).Describe(0), IsEmpty());
}

TEST(ModuleSymbols, KnowsNothingOutsideTheSegments) {
  EXPECT_THAT(ModuleSymbols(MemoryFile(Contents("segv"))).Describe(UINT64_MAX), IsEmpty());
}

}  // namespace
}  // namespace mayfly::symbolizer
