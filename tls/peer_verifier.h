// A PeerVerifier looks at who is on the other end of a connection, once gRPC has found that an authority vouches for it.
//
// Thread-safe: gRPC asks on any of its threads.
#pragma once

#include <grpcpp/security/tls_certificate_verifier.h>

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace mayfly::tls {

class PeerVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  // `callers`: the names of clients that a server takes. Empty: a client's, which takes the server whose name its
  // channel was told.
  explicit PeerVerifier(std::vector<std::string> callers) : callers_(std::move(callers)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> callback, grpc::Status* status) override;
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  // Logs it, the first time.
  void Tell(const std::string& refusal);

  const std::vector<std::string> callers_;
  std::mutex mutex_;
  std::set<std::string> told_;  // guarded by mutex_
};

}  // namespace mayfly::tls
