#include "runtime/loader/elf_image.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "runtime/loader/testing.h"

namespace mayfly::runtime {
namespace {

using testing::AsBytes;
using testing::ModulePath;
using testing::ReadFile;

// Parses a heap copy of exactly the right size, so that AddressSanitizer sees any byte read beyond it.
ElfFault FaultOf(std::string_view content) {
  const auto copy = std::make_unique<std::byte[]>(content.size());
  std::memcpy(copy.get(), content.data(), content.size());
  ElfFault fault;
  const auto image = ElfImage::Parse({copy.get(), content.size()}, fault);
  if (image) {
    LookupBudget budget;
    image->Defines("mayfly_module_v1", "", budget);
    for (std::uint32_t i = 0; i < image->symbol_count(); ++i) image->NeededVersionOf(image->symbol(i));
  }
  return fault;
}

TEST(ElfImage, ReadsWhatASharedObjectNeedsAndDefines) {
  const std::string content = ReadFile(ModulePath("needs_library_beside"));
  ElfFault fault;
  const auto image = ElfImage::Parse(AsBytes(content), fault);
  ASSERT_TRUE(image) << fault.reason << " " << fault.message;
  EXPECT_FALSE(image->is_program());
  EXPECT_EQ(image->runpath(), "$ORIGIN");
  EXPECT_TRUE(std::ranges::count(image->needed(), "libresize.so"));
  LookupBudget budget;
  EXPECT_TRUE(image->Defines("mayfly_module_v1", "", budget));
  EXPECT_FALSE(image->Defines("mayfly_module_v2", "", budget));
}

TEST(ElfImage, EveryTruncationIsRefusedWithoutReadingBeyondTheEnd) {
  const std::string content = ReadFile(ModulePath("good"));
  ASSERT_GT(content.size(), 1000u);
  for (std::size_t size = 0; size < content.size(); ++size) {
    const ElfFault fault = FaultOf(content.substr(0, size));
    ASSERT_FALSE(fault.reason.empty()) << "cut to " << size << " of " << content.size();
    if (size > sizeof(Elf64_Ehdr)) {
      ASSERT_EQ(fault.reason, "Truncated") << size << fault.message;
    }
  }
}

TEST(ElfImage, DamagedBytesNeverReadBeyondTheEnd) {
  const std::string content = ReadFile(ModulePath("good"));
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = content;
    const int bytes = 1 + static_cast<int>(random() % 8);
    for (int i = 0; i < bytes; ++i) {
      // Mostly in the headers and tables, which lie at the front.
      const std::size_t range =
          random() % 4 == 0 ? damaged.size() : std::min<std::size_t>(damaged.size(), 2048);
      damaged[random() % range] = static_cast<char>(random());
    }
    FaultOf(damaged);
  }
}

TEST(ElfImage, SaysWhatAFileIsThatIsNoSharedObject) {
  EXPECT_EQ(FaultOf("").reason, "NotElf");
  EXPECT_NE(FaultOf("#!/bin/sh\nexit 0\n").message.find("it is text and begins with \"#!/bin/sh\""),
            std::string::npos);
  EXPECT_NE(FaultOf("!<arch>\nfoo.o/").message.find("static library"), std::string::npos);

  std::string content = ReadFile(ModulePath("good"));
  const auto patched = [&content](std::size_t at, std::string_view bytes) {
    std::string copy = content;
    copy.replace(at, bytes.size(), bytes);
    return FaultOf(copy);
  };
  EXPECT_EQ(patched(EI_CLASS, std::string_view("\1", 1)).reason, "WrongClass");
  EXPECT_EQ(patched(EI_DATA, std::string_view("\2", 1)).reason, "WrongArchitecture");
  const ElfFault machine = patched(offsetof(Elf64_Ehdr, e_machine), std::string_view("\xf3\0", 2));
  EXPECT_EQ(machine.reason, "WrongArchitecture");
  EXPECT_NE(machine.message.find("is built for RISC-V"), std::string::npos) << machine.message;
  EXPECT_EQ(patched(offsetof(Elf64_Ehdr, e_type), std::string_view("\1\0", 2)).message,
            "is an object file: link it with -shared");
  EXPECT_EQ(patched(offsetof(Elf64_Ehdr, e_type), std::string_view("\2\0", 2)).reason, "NotSharedObject");
}

}  // namespace
}  // namespace mayfly::runtime
