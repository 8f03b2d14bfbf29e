// An Identity is who this process is to the other processes of Mayfly, and whom it trusts: what its gRPC credentials are
// made of, for as long as it lives. Certificates are renewed under it and need no restart: connections that there are go
// on, new ones use what is newest.
//
// It comes from a folder (tls.crt, tls.key and ca.crt, as a Secret is mounted), which is read again every few seconds; or
// from whoever calls Replace(). What is wrong is told once and not used: what was there before stays in force.
//
// gRPC reads its files by itself, and drops what it has when they are bad for a moment. So it is given files of this
// process alone, in memory, which only change after a check.
//
// Thread-safe. Thread `tls` looks at the folder, and gRPC has one of its own.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "tls/certificate.h"
#include "tls/names.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace mayfly::tls {

// Names of the files in a folder, and of the keys in a Secret.
inline constexpr char kCertificateFile[] = "tls.crt";
inline constexpr char kKeyFile[] = "tls.key";
inline constexpr char kAuthoritiesFile[] = "ca.crt";

class Identity {
 public:
  // `clock` and `metrics` must outlive it. kInvalidArgument with what is wrong with the material or the folder.
  static absl::StatusOr<std::unique_ptr<Identity>> FromMaterial(Material material, const base::Clock& clock,
                                                                base::Metrics& metrics);
  static absl::StatusOr<std::unique_ptr<Identity>> FromFolder(
      std::string folder, const base::Clock& clock, base::Metrics& metrics,
      std::chrono::milliseconds look_again = std::chrono::seconds(5));
  // Credentials that it gave may live on; they are not renewed any more.
  ~Identity();

  // In force for connections that begin a second from now. kInvalidArgument, and nothing changes, if Check() says so.
  absl::Status Replace(Material material);

  // For a server that takes clients with one of these names, and no client without a certificate.
  std::shared_ptr<grpc::ServerCredentials> ForServer(std::vector<std::string> callers) const;
  // For channels. Each must be told the name that its server has to have: ChannelArguments::SetSslTargetNameOverride().
  std::shared_ptr<grpc::ChannelCredentials> ForChannels() const;

 private:
  struct Impl;
  explicit Identity(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::tls
