// AWS Signature Version 4 for a GET of one object, as S3 and what speaks its protocol (MinIO, Ceph, R2) want it.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::runtime {

struct AwsCredentials {
  std::string access_key;  // "": requests are not signed
  std::string secret_key;
  std::string session_token;  // of temporary credentials; "": none
};

struct S3Get {
  std::string host;   // as the Host header has it, with a port that is not the scheme's own
  std::string path;   // encoded, from the first "/" on
  std::string range;  // as the Range header has it; "": none
};

// Everything of `text` but unreserved characters and "/" as %XX.
std::string EncodeS3Path(std::string_view text);

// The headers to send with `get`, each "name: value", Host excepted.
std::vector<std::string> SignS3Get(const S3Get& get, const AwsCredentials& credentials,
                                   const std::string& region, std::chrono::system_clock::time_point now);

}  // namespace mayfly::runtime
