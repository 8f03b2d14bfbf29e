// What a registry says an image is made of: a manifest with its layers, or an index with a manifest for each platform. OCI's
// form and Docker's (schema 2) are read.
//
// Input from strangers: whatever it says, sizes and numbers are bounded, and digests are digests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mayfly::runtime {

// What a registry is asked for.
extern const char kManifestTypes[];
inline constexpr std::size_t kMostManifestBytes = 4u << 20;

struct ImageBlob {
  std::string digest;  // 64 hexadecimal digits: its SHA-256
  std::uint64_t bytes = 0;
};

struct PlatformManifest {
  std::string platform;  // "linux/amd64"
  std::string digest;
};

struct ImageManifest {
  std::vector<ImageBlob> layers = {};            // the lowest first
  std::vector<PlatformManifest> platforms = {};  // of an index, which has no layers
};

// kInvalidArgument if it is neither, or has what is not served; says so as the end of a sentence.
absl::StatusOr<ImageManifest> ParseImageManifest(std::string_view json);

// The one that this program was compiled for, as images name it.
std::string ThisPlatform();

}  // namespace mayfly::runtime
