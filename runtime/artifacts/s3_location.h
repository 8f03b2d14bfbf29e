// Where s3://BUCKET/KEY is, and who asks for it: by the settings that every S3 client knows, AWS_ENDPOINT_URL_S3 or
// AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
//
// With an endpoint (MinIO, Ceph) the bucket is in the path, without one in the host's name, as each wants it. A bucket
// with a dot in its name, which no certificate of a host covers, is in the path too.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/artifacts/aws_signature.h"

namespace mayfly::runtime {

struct S3Location {
  std::string url;
  std::string host;  // as the Host header has it
  std::string path;  // encoded
  std::string region;
  AwsCredentials credentials;
};

// Nothing if `url` names no object, or the endpoint is no http or https URL.
std::optional<S3Location> LocateS3(std::string_view url, const std::map<std::string, std::string>& settings);

}  // namespace mayfly::runtime
