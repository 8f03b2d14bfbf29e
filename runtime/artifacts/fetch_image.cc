#include "runtime/artifacts/fetch_image.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include "runtime/artifacts/digest_file.h"
#include "runtime/artifacts/image_layer.h"
#include "runtime/artifacts/registry_client.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// What a layer has beside the module, and what tar adds.
constexpr std::uint64_t kBesideModule = 64u << 20;

class ImageFetch {
 public:
  ImageFetch(const FetchOrder& order, const ImageReference& reference, const ModuleCache& cache, int fd,
             const DownloadProgress& progress)
      : order_(order),
        cache_(cache),
        module_(fd),
        progress_(progress),
        deadline_(Clock::now() + order.timeout),
        client_(order.source.image, reference, order.settings, deadline_),
        bytes_left_(order.most_bytes + kBesideModule) {}

  std::optional<FetchFailure> Run(const std::string& digest, std::string& sha256) {
    ImageManifest manifest;
    if (auto failure = client_.GetManifest(digest, manifest)) return failure;
    if (!manifest.platforms.empty()) {
      if (auto failure = Choose(manifest)) return failure;
    }
    LayerHas has = LayerHas::kNothing;
    while (has == LayerHas::kNothing && !manifest.layers.empty()) {
      if (auto failure = Read(manifest.layers.back(), has)) return failure;
      manifest.layers.pop_back();
    }
    if (has != LayerHas::kFile) {
      return client_.Fail("BadArtifactImage",
                          fmt::format("has no file /{}: make it with mayfly build --push, or "
                                      "put the module there",
                                      kImageModule));
    }
    sha256 = module_.Digest();
    if (order_.sha256.empty() || order_.sha256 == sha256) return std::nullopt;
    return client_.Fail(
        "DigestMismatch",
        fmt::format("has a module with the SHA-256 {}, and spec.artifact.sha256 wants {}: correct "
                    "one of the two",
                    sha256, order_.sha256));
  }

 private:
  // The manifest of this platform, instead of the index.
  std::optional<FetchFailure> Choose(ImageManifest& manifest) {
    std::string others;
    for (const PlatformManifest& one : manifest.platforms) {
      if (one.platform != ThisPlatform()) {
        if (others.size() < 200) others += (others.empty() ? "" : ", ") + one.platform;
        continue;
      }
      const std::string digest = one.digest;
      if (auto failure = client_.GetManifest(digest, manifest)) return failure;
      if (!manifest.platforms.empty())
        return client_.Fail("BadArtifactImage", "is an index of indexes: name one image");
      return std::nullopt;
    }
    return client_.Fail(
        "BadArtifactImage",
        fmt::format("is not for {}, but for {}: build the module for this platform, or have the "
                    "function run on nodes of another (spec.runtime.nodeSelector)",
                    ThisPlatform(), others));
  }

  std::optional<FetchFailure> Read(const ImageBlob& layer, LayerHas& has) {
    if (layer.bytes > bytes_left_) {
      return client_.Fail(
          "TooLarge",
          fmt::format("has layers of more than {} bytes, the most that are taken: make an image of "
                      "the module alone (mayfly build --push)",
                      order_.most_bytes + kBesideModule));
    }
    bytes_left_ -= layer.bytes;
    const absl::StatusOr<base::FileDescriptor> file = cache_.Scratch();
    if (!file.ok()) return client_.Fail("NotWritable", std::string(file.status().message()));
    if (auto failure = Download(client_.BlobTask(layer, order_.folder), file->get(), progress_))
      return failure;
    const absl::StatusOr<LayerHas> taken =
        TakeFromLayer(file->get(), kImageModule, module_,
                      {.most_file_bytes = order_.most_bytes,
                       .most_unpacked_bytes = order_.most_bytes + kBesideModule,
                       .deadline = deadline_});
    if (taken.ok()) {
      has = *taken;
      return std::nullopt;
    }
    const std::string sentence(taken.status().message());
    switch (taken.status().code()) {
      case absl::StatusCode::kResourceExhausted:
        return client_.Fail("TooLarge", sentence);
      case absl::StatusCode::kUnavailable:
        return client_.Fail(
            module_.error() == ENOSPC || module_.error() == EDQUOT ? "NoSpace" : "NotWritable",
            fmt::format("{} in {}: {}", sentence, order_.folder,
                        std::system_category().message(module_.error())));
      default:
        return client_.Fail("BadArtifactImage", sentence);
    }
  }

  const FetchOrder& order_;
  const ModuleCache& cache_;
  DigestFile module_;
  const DownloadProgress& progress_;
  const Clock::time_point deadline_;
  RegistryClient client_;
  std::uint64_t bytes_left_;
};

}  // namespace

std::optional<FetchFailure> FetchImage(const FetchOrder& order, const ModuleCache& cache, int fd,
                                       const DownloadProgress& progress, std::string& sha256) {
  const std::string& name = order.source.image.reference;
  const auto reference = ParseImageReference(name);
  if (!reference) {
    return FetchFailure{"BadArtifactUrl",
                        fmt::format("spec.artifact.image {} names no image: write HOST/PATH:TAG or "
                                    "HOST/PATH@sha256:…, as mayfly build --push prints it",
                                    name)};
  }
  return ImageFetch(order, *reference, cache, fd, progress).Run(reference->digest, sha256);
}

}  // namespace mayfly::runtime
