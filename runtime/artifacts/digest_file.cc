#include "runtime/artifacts/digest_file.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/escaping.h"

namespace mayfly::runtime {

DigestFile::DigestFile(int fd) : fd_(fd), context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) { Restart(); }

DigestFile::~DigestFile() = default;

bool DigestFile::Restart() {
  size_ = 0;
  EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  return ::ftruncate(fd_, 0) == 0 && ::lseek(fd_, 0, SEEK_SET) == 0;
}

bool DigestFile::Write(std::string_view bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  size_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      error_ = errno;
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string DigestFile::Digest() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_.get(), digest, &size);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace mayfly::runtime
