// Layers of images for tests: tars as their tools write them, and as nobody should.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <string>
#include <vector>

namespace mayfly::runtime {

struct TarFile {
  std::string name;
  std::string content = "";
  std::string link = "";  // what it is a symbolic link to
  std::string hard_link = "";
  unsigned type = AE_IFREG;
};

enum class Packing { kPlain, kGzip, kZstd };

inline std::string MakeLayer(const std::vector<TarFile>& files, Packing packing = Packing::kPlain) {
  std::string layer;
  const std::unique_ptr<archive, int (*)(archive*)> writer(::archive_write_new(), ::archive_write_free);
  ::archive_write_set_format_pax_restricted(writer.get());
  if (packing == Packing::kGzip) ::archive_write_add_filter_gzip(writer.get());
  if (packing == Packing::kZstd) ::archive_write_add_filter_zstd(writer.get());
  ::archive_write_set_bytes_in_last_block(writer.get(), 1);  // tapes want more
  ::archive_write_open(
      writer.get(), &layer, nullptr,
      [](archive*, void* context, const void* data, std::size_t size) -> la_ssize_t {
        static_cast<std::string*>(context)->append(static_cast<const char*>(data), size);
        return static_cast<la_ssize_t>(size);
      },
      nullptr);
  for (const TarFile& file : files) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(::archive_entry_new(),
                                                                         ::archive_entry_free);
    ::archive_entry_set_pathname(entry.get(), file.name.c_str());
    ::archive_entry_set_filetype(entry.get(), file.link.empty() ? file.type : AE_IFLNK);
    ::archive_entry_set_perm(entry.get(), 0555);
    if (!file.link.empty()) ::archive_entry_set_symlink(entry.get(), file.link.c_str());
    if (!file.hard_link.empty()) ::archive_entry_set_hardlink(entry.get(), file.hard_link.c_str());
    ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
    ::archive_write_header(writer.get(), entry.get());
    ::archive_write_data(writer.get(), file.content.data(), file.content.size());
  }
  ::archive_write_close(writer.get());
  return layer;
}

}  // namespace mayfly::runtime
