// Takes one file out of a layer of an image: a tar, plain or packed by gzip or zstd, which libarchive reads.
//
// The layer's digest was checked, but whoever made the image may be hostile: nothing is ever written by a name of the
// layer's, links are not followed, and what it unpacks to is bounded. It is read to its end: the last file of the name is
// what a container would see.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/status.h"
#include "runtime/artifacts/digest_file.h"

namespace mayfly::runtime {

struct LayerBounds {
  std::uint64_t most_file_bytes = 0;
  std::uint64_t most_unpacked_bytes = 0;  // of all that the layer has
  std::chrono::steady_clock::time_point deadline;
};

enum class LayerHas {
  kFile,     // it was taken
  kNothing,  // a lower layer may have it
  kRemoval,  // of what lower layers have
};

// Writes the file `name` of the root of `layer`, an open file, to `file`.
//   kInvalidArgument     the layer is broken, or has what is not taken; says so as the end of a sentence
//   kResourceExhausted   a bound
//   kDeadlineExceeded
//   kUnavailable         `file` could not be written; its error() says why
absl::StatusOr<LayerHas> TakeFromLayer(int layer, const std::string& name, DigestFile& file,
                                       const LayerBounds& bounds);

}  // namespace mayfly::runtime
