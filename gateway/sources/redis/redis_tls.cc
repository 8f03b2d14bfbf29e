#include "gateway/sources/redis/redis_tls.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace mayfly::gateway {
namespace {

struct FreeParts {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, FreeParts>;
using Certificate = std::unique_ptr<X509, FreeParts>;
using Key = std::unique_ptr<EVP_PKEY, FreeParts>;

Bio Open(const std::string& pem) { return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

// A key that is encrypted is asked no password for.
int NoPassword(char*, int, int, void*) { return -1; }

absl::Status Trust(ssl_ctx_st* context, const std::string& ca) {
  const Bio bio = Open(ca);
  int count = 0;
  for (;; ++count) {
    const Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
    if (certificate == nullptr) break;
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get());
  }
  ERR_clear_error();
  return count > 0 ? absl::OkStatus() : absl::InvalidArgumentError("ca.crt has no certificate in PEM");
}

absl::Status Show(ssl_ctx_st* context, const std::string& certificate, const std::string& key) {
  const Bio bio = Open(certificate);
  const Certificate own(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  if (own == nullptr || SSL_CTX_use_certificate(context, own.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("tls.crt has no certificate in PEM");
  }
  for (;;) {
    Certificate between(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
    if (between == nullptr) break;
    if (SSL_CTX_add0_chain_cert(context, between.get()) == 1) (void)between.release();  // the context's own
  }
  ERR_clear_error();
  const Bio key_bio = Open(key);
  const Key private_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, NoPassword, nullptr));
  const bool fits = private_key != nullptr && SSL_CTX_use_PrivateKey(context, private_key.get()) == 1;
  ERR_clear_error();
  return fits ? absl::OkStatus()
              : absl::InvalidArgumentError("tls.key has no key in PEM that belongs to tls.crt");
}

}  // namespace

void FreeSsl::operator()(ssl_st* ssl) const { SSL_free(ssl); }
void FreeSsl::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

absl::StatusOr<SslContext> MakeRedisTls(const std::string& ca, const std::string& certificate,
                                        const std::string& key) {
  SslContext context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return absl::ResourceExhaustedError("there is no memory for TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // An idle connection needs no buffers.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (ca.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  } else if (absl::Status status = Trust(context.get(), ca); !status.ok()) {
    return status;
  }
  if (!certificate.empty()) {
    if (absl::Status status = Show(context.get(), certificate, key); !status.ok()) return status;
  }
  return context;
}

absl::StatusOr<Ssl> BeginRedisTls(ssl_ctx_st* context, int socket, const std::string& host) {
  Ssl ssl(SSL_new(context));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), socket) != 1)
    return absl::ResourceExhaustedError("there is no memory for TLS");
  in6_addr address{};
  const bool is_address =
      ::inet_pton(AF_INET, host.c_str(), &address) == 1 || ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
  if (is_address) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), host.c_str());
  } else {
    SSL_set1_host(ssl.get(), host.c_str());
    SSL_set_tlsext_host_name(ssl.get(), host.c_str());
  }
  SSL_set_connect_state(ssl.get());
  return ssl;
}

std::string RedisTlsError(const ssl_st* ssl) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const long verified = SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) {
    return fmt::format("the server's certificate is not trusted: {}",
                       X509_verify_cert_error_string(verified));
  }
  if (code == 0) return "";
  const char* const reason = ERR_reason_error_string(code);
  if (reason == nullptr) return "TLS failed";
  return fmt::format(
      "TLS: {}{}", reason,
      ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER ? " (the server may not speak TLS)" : "");
}

}  // namespace mayfly::gateway
