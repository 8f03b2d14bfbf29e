#include "tls/certificate.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>

namespace mayfly::tls {
namespace {

using std::chrono::seconds;

constexpr std::chrono::minutes kClockDifference{5};

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
void FreeStack(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }

using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Stack = std::unique_ptr<STACK_OF(X509), Freer<FreeStack>>;

// What OpenSSL says of its last failure, whose queue is empty afterwards.
absl::Status LibraryError(const char* what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return absl::InternalError(fmt::format("{}: {}", what, reason == nullptr ? "OpenSSL failed" : reason));
}

Bio Reader(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Certificate ReadCertificate(const std::string& pem) {
  Certificate certificate(PEM_read_bio_X509(Reader(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}

Stack ReadCertificates(const std::string& pem) {
  Stack stack(sk_X509_new_null());
  const Bio bio = Reader(pem);
  while (X509* const certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    sk_X509_push(stack.get(), certificate);
  ERR_clear_error();
  return stack;
}

Key ReadKey(const std::string& pem) {
  // A key that wants a password is refused: there is nobody to ask.
  constexpr auto kNoPassword = [](char*, int, int, void*) { return -1; };
  Key key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, kNoPassword, nullptr));
  ERR_clear_error();
  return key;
}

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

absl::StatusOr<KeyPair> ToPem(X509* certificate, EVP_PKEY* key) {
  const Bio first(BIO_new(BIO_s_mem()));
  const Bio second(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(first.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return LibraryError("cannot write a certificate");
  return KeyPair{.certificate = Text(first.get()), .key = Text(second.get())};
}

bool AddExtension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetTime(ASN1_TIME* field, base::WallTime time) {
  return ASN1_TIME_set(field, std::chrono::system_clock::to_time_t(time)) != nullptr;
}

base::WallTime ToTime(const ASN1_TIME* time) {
  tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

// All but the extensions and the signature.
bool FillIn(X509* certificate, EVP_PKEY* key, const std::string& name, base::WallTime begin,
            base::WallTime end) {
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return false;
  serial[0] &= 0x7f;  // positive
  const std::unique_ptr<BIGNUM, Freer<BN_free>> number(
      BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  X509_NAME* const subject = X509_get_subject_name(certificate);
  return number != nullptr &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
         X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>("Mayfly"), -1, -1, 0) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0) == 1 &&
         SetTime(X509_getm_notBefore(certificate), begin) && SetTime(X509_getm_notAfter(certificate), end) &&
         X509_set_pubkey(certificate, key) == 1;
}

}  // namespace

absl::StatusOr<KeyPair> MakeAuthority(base::WallTime now, seconds life) {
  const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const Certificate made(X509_new());
  // A name of its own for each: by names, chains are built while two authorities are trusted.
  const std::string name = fmt::format("Mayfly authority {}", std::chrono::system_clock::to_time_t(now));
  if (key == nullptr || made == nullptr ||
      !FillIn(made.get(), key.get(), name, now - kClockDifference, now + life) ||
      X509_set_issuer_name(made.get(), X509_get_subject_name(made.get())) != 1 ||
      !AddExtension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(made.get(), made.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(made.get(), key.get(), EVP_sha256()) == 0)
    return LibraryError("cannot make an authority");
  return ToPem(made.get(), key.get());
}

absl::StatusOr<KeyPair> Issue(const KeyPair& authority, const std::string& name, Use use, base::WallTime now,
                              seconds life) {
  const Certificate issuer = ReadCertificate(authority.certificate);
  const Key issuer_key = ReadKey(authority.key);
  if (issuer == nullptr || issuer_key == nullptr ||
      X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the authority is no certificate with its own private key, in PEM");
  }
  const base::WallTime end = std::min(now + life, ToTime(X509_get0_notAfter(issuer.get())));
  const char* const purposes = use == Use::kClient   ? "clientAuth"
                               : use == Use::kServer ? "serverAuth"
                                                     : "serverAuth,clientAuth";
  const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const Certificate made(X509_new());
  if (key == nullptr || made == nullptr ||
      // A common name may have 64 characters; nobody reads it.
      !FillIn(made.get(), key.get(), name.substr(0, 64), now - kClockDifference, end) ||
      X509_set_issuer_name(made.get(), X509_get_subject_name(issuer.get())) != 1 ||
      !AddExtension(made.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(made.get(), issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(made.get(), issuer.get(), NID_ext_key_usage, purposes) ||
      !AddExtension(made.get(), issuer.get(), NID_subject_key_identifier, "hash") ||
      !AddExtension(made.get(), issuer.get(), NID_authority_key_identifier, "keyid:always") ||
      !AddExtension(made.get(), issuer.get(), NID_subject_alt_name, "DNS:" + name) ||
      X509_sign(made.get(), issuer_key.get(), EVP_sha256()) == 0)
    return LibraryError("cannot issue a certificate");
  return ToPem(made.get(), key.get());
}

absl::StatusOr<Validity> ReadValidity(const std::string& pem) {
  const Certificate certificate = ReadCertificate(pem);
  if (certificate == nullptr) return absl::InvalidArgumentError("it has no certificate in PEM");
  return Validity{.begin = ToTime(X509_get0_notBefore(certificate.get())),
                  .end = ToTime(X509_get0_notAfter(certificate.get()))};
}

absl::StatusOr<std::vector<std::string>> ReadNames(const std::string& pem) {
  const Certificate certificate = ReadCertificate(pem);
  if (certificate == nullptr) return absl::InvalidArgumentError("it has no certificate in PEM");
  const std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>> all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> names;
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type != GEN_DNS) continue;
    names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                       static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  return names;
}

absl::Status Check(const Material& material, base::WallTime now) {
  const Stack chain = ReadCertificates(material.own.certificate);
  if (sk_X509_num(chain.get()) == 0) return absl::InvalidArgumentError("tls.crt has no certificate in PEM");
  X509* const own = sk_X509_value(chain.get(), 0);
  const Key key = ReadKey(material.own.key);
  if (key == nullptr)
    return absl::InvalidArgumentError("tls.key has no private key in PEM that needs no password");
  if (X509_check_private_key(own, key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("tls.key is not the key of the certificate in tls.crt");
  }
  const Stack authorities = ReadCertificates(material.authorities);
  if (sk_X509_num(authorities.get()) == 0)
    return absl::InvalidArgumentError("ca.crt has no certificate in PEM");
  if (const base::WallTime end = ToTime(X509_get0_notAfter(own)); end <= now) {
    return absl::InvalidArgumentError(
        fmt::format("the certificate in tls.crt expired at {:%F %T} UTC: renew it",
                    fmt::gmtime(std::chrono::system_clock::to_time_t(end))));
  }
  const std::unique_ptr<X509_STORE, Freer<X509_STORE_free>> store(X509_STORE_new());
  for (int i = 0; i < sk_X509_num(authorities.get()); ++i)
    X509_STORE_add_cert(store.get(), sk_X509_value(authorities.get(), i));
  const std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(context.get(), store.get(), own, chain.get()) != 1)
    return LibraryError("cannot check a certificate");
  X509_STORE_CTX_set_time(context.get(), 0, std::chrono::system_clock::to_time_t(now));
  if (X509_verify_cert(context.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        fmt::format("the certificate in tls.crt is not one that the authorities in ca.crt vouch for: {}",
                    X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
  }
  return absl::OkStatus();
}

}  // namespace mayfly::tls
