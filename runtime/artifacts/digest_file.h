// A file that is written from its beginning, with the SHA-256 of what was written so far.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace mayfly::runtime {

class DigestFile {
 public:
  // Empties `fd`, which must outlive it.
  explicit DigestFile(int fd);
  ~DigestFile();
  DigestFile(const DigestFile&) = delete;
  DigestFile& operator=(const DigestFile&) = delete;

  // Begins anew with an empty file.
  bool Restart();
  // False if it could not be written: error() says why.
  bool Write(std::string_view bytes);
  // Of all that was written, as 64 hexadecimal digits. Nothing may be written afterwards, unless it is restarted.
  std::string Digest();

  std::uint64_t size() const { return size_; }
  int error() const { return error_; }

 private:
  const int fd_;
  const std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
  std::uint64_t size_ = 0;
  int error_ = 0;
};

}  // namespace mayfly::runtime
