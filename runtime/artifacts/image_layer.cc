#include "runtime/artifacts/image_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string_view>

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBlock = 64u << 10;
constexpr char kRemovalPrefix[] = ".wh.";
constexpr std::string_view kRemovalOfAll = ".wh..wh..opq";

// "./a", "/a", "a/" and "a" are one.
std::string_view Normal(std::string_view path) {
  while (path.starts_with("./") || path.starts_with('/')) path.remove_prefix(path.starts_with('/') ? 1 : 2);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool LeadsOut(std::string_view path) {
  return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string_view::npos;
}

class LayerReader {
 public:
  LayerReader(int layer, const std::string& name, DigestFile& file, const LayerBounds& bounds)
      : archive_(::archive_read_new(), ::archive_read_free),
        layer_(layer),
        name_(name),
        file_(file),
        bounds_(bounds) {}

  absl::StatusOr<LayerHas> Run() {
    ::archive_read_support_format_tar(archive_.get());
    ::archive_read_support_filter_gzip(archive_.get());
    ::archive_read_support_filter_zstd(archive_.get());
    if (::lseek(layer_, 0, SEEK_SET) != 0 ||
        ::archive_read_open_fd(archive_.get(), layer_, kBlock) != ARCHIVE_OK)
      return Broken();
    LayerHas has = LayerHas::kNothing;
    for (;;) {
      archive_entry* entry = nullptr;
      const int read = ::archive_read_next_header(archive_.get(), &entry);
      if (read == ARCHIVE_EOF) return has;
      if (read != ARCHIVE_OK && read != ARCHIVE_WARN) return Broken();
      if (absl::Status status = CheckBounds(); !status.ok()) return status;
      // One that cannot be said in this locale is none of ours.
      const char* const path = ::archive_entry_pathname(entry);
      const std::string_view normal = Normal(path == nullptr ? "" : path);
      if (LeadsOut(normal)) return absl::InvalidArgumentError("has a file whose name leads out of it (..)");
      if (normal == name_) {
        if (absl::Status status = Take(entry); !status.ok()) return status;
        has = LayerHas::kFile;
        continue;
      }
      if (has == LayerHas::kNothing && (normal == kRemovalPrefix + name_ || normal == kRemovalOfAll))
        has = LayerHas::kRemoval;
      if (absl::Status status = Skip(); !status.ok()) return status;
    }
  }

 private:
  absl::Status Take(archive_entry* entry) {
    if (::archive_entry_filetype(entry) != AE_IFREG || ::archive_entry_hardlink(entry) != nullptr) {
      return absl::InvalidArgumentError(
          fmt::format("has a /{} that is a link, a folder or a device: it must be a plain file", name_));
    }
    file_.Restart();
    std::array<char, kBlock> buffer;
    for (;;) {
      const la_ssize_t size = ::archive_read_data(archive_.get(), buffer.data(), buffer.size());
      if (size == 0) return absl::OkStatus();
      if (size < 0) return Broken();
      if (file_.size() + static_cast<std::uint64_t>(size) > bounds_.most_file_bytes) {
        return absl::ResourceExhaustedError(
            fmt::format("has a /{} of more than {} bytes, the most that are taken: strip it (strip -g), or "
                        "put large data elsewhere",
                        name_, bounds_.most_file_bytes));
      }
      if (absl::Status status = CheckBounds(); !status.ok()) return status;
      if (!file_.Write({buffer.data(), static_cast<std::size_t>(size)}))
        return absl::UnavailableError("cannot be kept");
    }
  }

  // Block by block: what a small layer unpacks to may be endless.
  absl::Status Skip() {
    for (;;) {
      const void* data = nullptr;
      std::size_t size = 0;
      la_int64_t offset = 0;
      const int read = ::archive_read_data_block(archive_.get(), &data, &size, &offset);
      if (read == ARCHIVE_EOF) return absl::OkStatus();
      if (read != ARCHIVE_OK && read != ARCHIVE_WARN) return Broken();
      if (absl::Status status = CheckBounds(); !status.ok()) return status;
    }
  }

  absl::Status CheckBounds() {
    if (static_cast<std::uint64_t>(::archive_filter_bytes(archive_.get(), 0)) > bounds_.most_unpacked_bytes) {
      return absl::ResourceExhaustedError(
          fmt::format("has a layer that unpacks to more than {} bytes, the most that are read: make an image "
                      "of the module alone (mayfly build --push)",
                      bounds_.most_unpacked_bytes));
    }
    if (Clock::now() >= bounds_.deadline)
      return absl::DeadlineExceededError("was not unpacked in time: make an image of the module alone");
    return absl::OkStatus();
  }

  absl::Status Broken() {
    const char* const words = ::archive_error_string(archive_.get());
    return absl::InvalidArgumentError(
        fmt::format("has a layer that is no tar, or a broken one ({}): push it again",
                    words == nullptr ? "no reason is told" : words));
  }

  const std::unique_ptr<archive, int (*)(archive*)> archive_;
  const int layer_;
  const std::string& name_;
  DigestFile& file_;
  const LayerBounds& bounds_;
};

}  // namespace

absl::StatusOr<LayerHas> TakeFromLayer(int layer, const std::string& name, DigestFile& file,
                                       const LayerBounds& bounds) {
  return LayerReader(layer, name, file, bounds).Run();
}

}  // namespace mayfly::runtime
