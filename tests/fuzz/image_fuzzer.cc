// Feeds any bytes to what reads what registries say: references, manifests and layers. Checked is that nothing is read out of
// bounds (sanitizers), that digests are digests, and that a layer gives no more than its bounds.
//
// The first byte says which: a reference, a manifest, or a layer.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"
#include "runtime/artifacts/image_layer.h"
#include "runtime/artifacts/image_manifest.h"
#include "runtime/artifacts/image_reference.h"

namespace {

using namespace mayfly;
using namespace mayfly::runtime;

constexpr std::uint64_t kMostBytes = 1u << 20;

void Require(bool holds) {
  if (!holds) std::abort();
}

void ReadReference(std::string_view text) {
  const auto reference = ParseImageReference(text);
  if (!reference) return;
  Require(!reference->host.empty() && !reference->path.empty() && !reference->tag.empty());
  Require(reference->digest.empty() || IsSha256(reference->digest));
  Require((reference->host + reference->path + reference->tag).find_first_of(" \r\n?#@%\\") ==
          std::string::npos);
}

void ReadManifest(std::string_view text) {
  const auto manifest = ParseImageManifest(text);
  if (!manifest.ok()) return Require(!manifest.status().message().empty());
  Require(manifest->layers.empty() != manifest->platforms.empty());
  for (const ImageBlob& layer : manifest->layers) Require(IsSha256(layer.digest));
  for (const PlatformManifest& platform : manifest->platforms) Require(IsSha256(platform.digest));
}

void ReadLayer(std::string_view bytes) {
  const base::FileDescriptor layer(::memfd_create("layer", MFD_CLOEXEC));
  const base::FileDescriptor module(::memfd_create("module", MFD_CLOEXEC));
  Require(::write(layer.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  DigestFile file(module.get());
  const auto has = TakeFromLayer(layer.get(), "module.so", file,
                                 {.most_file_bytes = kMostBytes,
                                  .most_unpacked_bytes = 2 * kMostBytes,
                                  .deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5)});
  Require(file.size() <= kMostBytes);
  Require(has.ok() || !has.status().message().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      ReadReference(rest);
      break;
    case 1:
      ReadManifest(rest);
      break;
    default:
      ReadLayer(rest);
  }
  return 0;
}
