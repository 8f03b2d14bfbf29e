// Asks a registry for an image, over the protocol of the OCI distribution specification.
//
// Who asks is told when the registry wants to know: by a password, or by a token that its token server gives for one. Each
// login is tried until one may. What may pass by itself is tried again with backoff, as in Download(). What a manifest
// says is believed once its digest is what was asked for.
//
// Blocks; one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "runtime/artifacts/download.h"
#include "runtime/artifacts/fetch_order.h"
#include "runtime/artifacts/http_transfer.h"
#include "runtime/artifacts/image_manifest.h"
#include "runtime/artifacts/image_reference.h"

namespace mayfly::runtime {

class RegistryClient {
 public:
  // `settings` are proxies and SSL_CERT_FILE. What is referred to must outlive the client.
  RegistryClient(const ImageSource& image, const ImageReference& reference,
                 const std::map<std::string, std::string>& settings,
                 std::chrono::steady_clock::time_point deadline);

  // The manifest, or index, that `digest` has; "": that the reference's tag names.
  std::optional<FetchFailure> GetManifest(const std::string& digest, ImageManifest& manifest);

  // How `blob` is downloaded, by whoever was let in for the manifest.
  DownloadTask BlobTask(const ImageBlob& blob, const std::string& folder) const;

  // A failure, whose sentence begins with the image.
  FetchFailure Fail(const char* reason, const std::string& sentence) const;

 private:
  struct Answer {
    long code = 0;
    std::string challenge;
    std::string body;
    bool too_large = false;
    std::chrono::milliseconds retry_after{0};
  };

  // As whoever is let in; the answer is another than 401, unless nobody is.
  std::optional<FetchFailure> Ask(const std::string& path, Answer& answer);
  // Tries again what may pass.
  std::optional<FetchFailure> Send(HttpRequest request, std::size_t most_bytes, Answer& answer);
  std::optional<FetchFailure> SendOnce(const HttpRequest& request, std::size_t most_bytes, Answer& answer,
                                       bool& again);
  // Becomes the next login that can answer `challenge`. False if there is none.
  std::optional<FetchFailure> LogIn(const std::string& challenge, bool& in);
  std::optional<FetchFailure> GetToken(const RegistryLogin& login, const std::string& challenge, bool& in);
  FetchFailure OfTransfer(TransferError error, const std::string& url, bool& again) const;
  FetchFailure OfAnswer(const Answer& answer, const std::string& what) const;
  FetchFailure Forbidden(long code) const;

  const ImageSource& image_;
  const ImageReference& reference_;
  const std::chrono::steady_clock::time_point deadline_;
  const std::string origin_;
  std::map<std::string, std::string> settings_;
  HttpTransfer transfer_;
  std::size_t next_login_ = 0;
  // Of the login that is tried, or was let in; "" for both: nobody's.
  std::string token_;
  const RegistryLogin* basic_ = nullptr;
};

}  // namespace mayfly::runtime
