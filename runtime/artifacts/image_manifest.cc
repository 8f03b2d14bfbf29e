#include "runtime/artifacts/image_manifest.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/artifacts/image_reference.h"

namespace mayfly::runtime {

const char kManifestTypes[] =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostLayers = 127;  // as many as a container may have
constexpr std::size_t kMostPlatforms = 256;
constexpr std::string_view kDigestPrefix = "sha256:";
constexpr const char* kLayerTypes[] = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
};

absl::Status Wrong(std::string sentence) { return absl::InvalidArgumentError(std::move(sentence)); }

// The text `key` of `object`; "" if it has none.
std::string Text(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// The SHA-256 that `descriptor` has; "" if it has none.
std::string DigestOf(const Json& descriptor) {
  const std::string text = Text(descriptor, "digest");
  if (!text.starts_with(kDigestPrefix)) return "";
  std::string digest = text.substr(kDigestPrefix.size());
  return IsSha256(digest) ? digest : "";
}

bool IsLayer(const std::string& type) {
  for (const char* known : kLayerTypes)
    if (type == known) return true;
  return false;
}

// Text of others at the end of a sentence.
std::string Quote(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text.substr(0, 80)) quoted += c > ' ' && c < '\x7f' ? c : '?';
  return quoted + "\"";
}

absl::StatusOr<ImageManifest> ReadLayers(const Json& layers) {
  if (layers.empty() || layers.size() > kMostLayers)
    return Wrong(fmt::format("has {} layers; one to {} are read", layers.size(), kMostLayers));
  ImageManifest manifest;
  for (const Json& layer : layers) {
    const std::string type = Text(layer, "mediaType");
    if (!IsLayer(type)) {
      return Wrong(fmt::format(
          "has a layer of the type {}: a layer is a tar, plain or packed by gzip or zstd", Quote(type)));
    }
    const std::string digest = DigestOf(layer);
    if (digest.empty()) return Wrong("has a layer without a SHA-256");
    const auto size = layer.find("size");
    if (size == layer.end() || !size->is_number_unsigned()) return Wrong("has a layer without a size");
    manifest.layers.push_back({.digest = digest, .bytes = size->get<std::uint64_t>()});
  }
  return manifest;
}

absl::StatusOr<ImageManifest> ReadPlatforms(const Json& manifests) {
  if (manifests.empty() || manifests.size() > kMostPlatforms)
    return Wrong(fmt::format("is for {} platforms; one to {} are read", manifests.size(), kMostPlatforms));
  ImageManifest index;
  for (const Json& manifest : manifests) {
    const std::string digest = DigestOf(manifest);
    if (digest.empty()) return Wrong("has the manifest of a platform without a SHA-256");
    const auto platform = manifest.find("platform");
    // What has none is no image: a signature, an attestation.
    if (platform == manifest.end() || !platform->is_object()) continue;
    index.platforms.push_back(
        {.platform = Text(*platform, "os") + "/" + Text(*platform, "architecture"), .digest = digest});
  }
  if (index.platforms.empty()) return Wrong("is for no platform");
  return index;
}

}  // namespace

absl::StatusOr<ImageManifest> ParseImageManifest(std::string_view json) {
  const Json document = Json::parse(json, nullptr, false);
  if (!document.is_object()) return Wrong("is described by what is no JSON object");
  if (const auto layers = document.find("layers"); layers != document.end() && layers->is_array())
    return ReadLayers(*layers);
  if (const auto manifests = document.find("manifests"); manifests != document.end() && manifests->is_array())
    return ReadPlatforms(*manifests);
  if (document.contains("fsLayers"))
    return Wrong("has a manifest of schema 1, which is not read: push it again");
  return Wrong("has a manifest without layers");
}

std::string ThisPlatform() {
#if defined(__x86_64__)
  return "linux/amd64";
#elif defined(__aarch64__)
  return "linux/arm64";
#else
#error "Mayfly runs on x86-64 and aarch64"
#endif
}

}  // namespace mayfly::runtime
