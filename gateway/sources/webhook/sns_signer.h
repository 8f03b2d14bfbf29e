// An SnsSigner signs messages as AWS SNS does, with a key of its own: for tests.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/escaping.h"
#include "gateway/sources/webhook/sns_envelope.h"

namespace mayfly::gateway {

class SnsSigner {
 public:
  SnsSigner() : key_(::EVP_RSA_gen(2048), &::EVP_PKEY_free) {
    const std::unique_ptr<X509, decltype(&::X509_free)> x509(::X509_new(), &::X509_free);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(x509.get()), 1);
    ::ASN1_TIME_set_string_X509(::X509_getm_notBefore(x509.get()), "20200101000000Z");
    ::ASN1_TIME_set_string_X509(::X509_getm_notAfter(x509.get()), "20991231000000Z");
    ::X509_set_pubkey(x509.get(), key_.get());
    X509_NAME* const name = ::X509_get_subject_name(x509.get());
    ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>("sns.amazonaws.com"), -1, -1, 0);
    ::X509_set_issuer_name(x509.get(), name);
    ::X509_sign(x509.get(), key_.get(), ::EVP_sha256());
    const std::unique_ptr<BIO, decltype(&::BIO_free)> bio(::BIO_new(::BIO_s_mem()), &::BIO_free);
    ::PEM_write_bio_X509(bio.get(), x509.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    certificate_.assign(data, static_cast<std::size_t>(size));
  }

  const std::string& certificate() const { return certificate_; }

  std::string Notification(const std::string& topic, const std::string& id, const std::string& message,
                           const std::string& version = "2") const {
    return Message(
        {{"TopicArn", topic}, {"MessageId", id}, {"Message", message}, {"SignatureVersion", version}});
  }

  // A notification with `fields` instead of its own, signed.
  std::string Message(const std::map<std::string, std::string>& fields) const {
    nlohmann::json json = {{"Type", "Notification"},
                           {"MessageId", "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"},
                           {"TopicArn", "arn:aws:sns:us-west-2:123456789012:MyTopic"},
                           {"Subject", "My First Message"},
                           {"Message", "Hello world!"},
                           {"Timestamp", "2026-05-02T00:54:06.655Z"},
                           {"SignatureVersion", "2"},
                           {"SigningCertURL",
                            "https://sns.us-west-2.amazonaws.com/"
                            "SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"},
                           {"UnsubscribeURL", "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe"}};
    for (const auto& [name, value] : fields) json[name] = value;
    if (json["Type"] != "Notification") json.erase("Subject");
    json["Signature"] = "AAAA";
    WebhookRequest request;
    request.body = json.dump();
    SnsEnvelope envelope;
    envelope.type = json["Type"];
    envelope.message_id = json["MessageId"];
    envelope.topic_arn = json["TopicArn"];
    envelope.message = json["Message"];
    envelope.has_subject = json.contains("Subject");
    if (envelope.has_subject) envelope.subject = json["Subject"];
    envelope.timestamp = json["Timestamp"];
    envelope.subscribe_url = json.value("SubscribeURL", "");
    envelope.token = json.value("Token", "");
    json["Signature"] = Sign(SnsStringToSign(envelope), json["SignatureVersion"] == "1");
    return json.dump();
  }

 private:
  std::string Sign(const std::string& text, bool sha1) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context(::EVP_MD_CTX_new(),
                                                                            &::EVP_MD_CTX_free);
    std::string signature(256, '\0');
    std::size_t size = signature.size();
    EXPECT_EQ(::EVP_DigestSignInit(context.get(), nullptr, sha1 ? ::EVP_sha1() : ::EVP_sha256(), nullptr,
                                   key_.get()),
              1);
    EXPECT_EQ(::EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                               reinterpret_cast<const unsigned char*>(text.data()), text.size()),
              1);
    signature.resize(size);
    return absl::Base64Escape(signature);
  }

  const std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key_;
  std::string certificate_;
};

}  // namespace mayfly::gateway
