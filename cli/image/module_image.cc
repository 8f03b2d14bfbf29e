#include "cli/image/module_image.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/digest.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kBlock = 512;
constexpr std::size_t kMachineOffset = 18;
constexpr std::size_t kElfHeader = 64;
// Of a size in a plain ustar header.
constexpr std::uint64_t kMostBytes = 077777777777;

Blob MakeBlob(std::string content) {
  std::string digest = "sha256:" + base::Sha256Hex(content);
  return {std::move(content), std::move(digest)};
}

// As Go, and so OCI, calls it; "" if it is none of ours.
const char* Architecture(std::string_view elf) {
  if (elf.size() < kElfHeader || !elf.starts_with("\x7f"
                                                  "ELF"))
    return "";
  // Little-endian, as all of these are.
  const unsigned machine = static_cast<unsigned char>(elf[kMachineOffset]) |
                           static_cast<unsigned>(static_cast<unsigned char>(elf[kMachineOffset + 1])) << 8;
  switch (machine) {
    case 62:
      return "amd64";
    case 183:
      return "arm64";
    case 243:
      return "riscv64";
    default:
      return "";
  }
}

// A tar of one file, in the ustar form.
std::string Tar(const char* name, std::string_view content) {
  std::array<char, kBlock> header{};
  const auto put = [&header](std::size_t at, std::string_view text) {
    std::memcpy(header.data() + at, text.data(), text.size());
  };
  std::array<char, 16> size{};
  std::snprintf(size.data(), size.size(), "%011llo", static_cast<unsigned long long>(content.size()));
  put(0, name);
  put(100, "0000555");
  put(108, "0000000");      // user
  put(116, "0000000");      // group
  put(124, size.data());    // size
  put(136, "00000000000");  // time
  put(148, "        ");     // the sum counts itself as spaces
  put(156, "0");            // a plain file
  put(257, "ustar");
  put(263, "00");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%06o", sum);
  std::memcpy(header.data() + 148, text.data(), 7);

  std::string tar(header.data(), header.size());
  tar += content;
  tar.resize((tar.size() + kBlock - 1) / kBlock * kBlock + 2 * kBlock);
  return tar;
}

Json Descriptor(const char* type, const Blob& blob) {
  return {{"mediaType", type}, {"digest", blob.digest}, {"size", blob.content.size()}};
}

}  // namespace

absl::StatusOr<ModuleImage> MakeModuleImage(std::string_view module) {
  const char* const architecture = Architecture(module);
  if (*architecture == '\0')
    return absl::InvalidArgumentError(
        "it is no ELF file for amd64, arm64 or riscv64: give the .so of a module");
  if (module.size() > kMostBytes) return absl::InvalidArgumentError("it is larger than 8 GiB");
  ModuleImage image;
  image.layer = MakeBlob(Tar("module.so", module));
  image.config = MakeBlob(Json{{"architecture", architecture},
                               {"config", Json::object()},
                               {"os", "linux"},
                               {"rootfs", {{"diff_ids", {image.layer.digest}}, {"type", "layers"}}}}
                              .dump());
  image.manifest = MakeBlob(
      Json{{"config", Descriptor("application/vnd.oci.image.config.v1+json", image.config)},
           {"layers", Json::array({Descriptor("application/vnd.oci.image.layer.v1.tar", image.layer)})},
           {"mediaType", kManifestType},
           {"schemaVersion", 2}}
          .dump());
  return image;
}

}  // namespace mayfly::cli
