#include "runtime/artifacts/aws_signature.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <map>

#include "absl/strings/escaping.h"
#include "base/digest.h"

namespace mayfly::runtime {
namespace {

std::string Hmac(std::string_view key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return std::string(reinterpret_cast<const char*>(digest), size);
}

}  // namespace

std::string EncodeS3Path(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::vector<std::string> SignS3Get(const S3Get& get, const AwsCredentials& credentials,
                                   const std::string& region, std::chrono::system_clock::time_point now) {
  std::map<std::string, std::string> headers;
  if (!get.range.empty()) headers["range"] = get.range;
  std::vector<std::string> lines;
  if (credentials.access_key.empty()) {
    for (const auto& [name, value] : headers) lines.push_back(name + ": " + value);
    return lines;
  }
  const std::string time =
      fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  const std::string date = time.substr(0, 8);
  headers["x-amz-content-sha256"] = base::Sha256Hex("");
  headers["x-amz-date"] = time;
  if (!credentials.session_token.empty()) headers["x-amz-security-token"] = credentials.session_token;
  for (const auto& [name, value] : headers) lines.push_back(name + ": " + value);

  headers["host"] = get.host;
  std::string canonical = "GET\n" + get.path + "\n\n";
  std::string names;
  for (const auto& [name, value] : headers) {
    canonical += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  canonical += "\n" + names + "\n" + base::Sha256Hex("");
  const std::string scope = date + "/" + region + "/s3/aws4_request";
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + base::Sha256Hex(canonical);
  const std::string key =
      Hmac(Hmac(Hmac(Hmac("AWS4" + credentials.secret_key, date), region), "s3"), "aws4_request");
  lines.push_back(
      fmt::format("authorization: AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}",
                  credentials.access_key, scope, names, absl::BytesToHexString(Hmac(key, to_sign))));
  return lines;
}

}  // namespace mayfly::runtime
