// TLS of connections to a Redis server: whom to trust, and who comes.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"

struct ssl_ctx_st;  // of OpenSSL
struct ssl_st;

namespace mayfly::gateway {

struct FreeSsl {
  void operator()(ssl_st* ssl) const;
  void operator()(ssl_ctx_st* context) const;
};
using Ssl = std::unique_ptr<ssl_st, FreeSsl>;
using SslContext = std::unique_ptr<ssl_ctx_st, FreeSsl>;

// All in PEM. Without `ca` whom the system trusts is trusted. kInvalidArgument says what cannot be read, and never shows it.
absl::StatusOr<SslContext> MakeRedisTls(const std::string& ca, const std::string& certificate,
                                        const std::string& key);

// One connection on `socket`, whose certificate must be of `host`, a name or an address.
absl::StatusOr<Ssl> BeginRedisTls(ssl_ctx_st* context, int socket, const std::string& host);

// What has gone wrong on this thread, in OpenSSL's words; "" if it has said nothing.
std::string RedisTlsError(const ssl_st* ssl);

}  // namespace mayfly::gateway
