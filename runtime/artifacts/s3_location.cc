#include "runtime/artifacts/s3_location.h"

#include <initializer_list>

namespace mayfly::runtime {
namespace {

constexpr std::string_view kScheme = "s3://";

std::string First(const std::map<std::string, std::string>& settings,
                  std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = settings.find(name);
    if (found != settings.end() && !found->second.empty()) return found->second;
  }
  return "";
}

}  // namespace

std::optional<S3Location> LocateS3(std::string_view url, const std::map<std::string, std::string>& settings) {
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  const std::size_t slash = url.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == url.size()) return std::nullopt;
  const std::string bucket(url.substr(0, slash));
  const std::string key(url.substr(slash));  // with its "/"
  if (bucket.find_first_of("?#@:%") != std::string::npos) return std::nullopt;

  S3Location location;
  location.region = First(settings, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (location.region.empty()) location.region = "us-east-1";
  location.credentials = {First(settings, {"AWS_ACCESS_KEY_ID"}), First(settings, {"AWS_SECRET_ACCESS_KEY"}),
                          First(settings, {"AWS_SESSION_TOKEN"})};
  std::string endpoint = First(settings, {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  bool in_path = true;
  if (endpoint.empty()) {
    in_path = bucket.find('.') != std::string::npos;
    endpoint = "https://" + (in_path ? "" : bucket + ".") + "s3." + location.region + ".amazonaws.com";
  }
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const std::size_t scheme = endpoint.find("://");
  if (!endpoint.starts_with("http://") && !endpoint.starts_with("https://")) return std::nullopt;
  const std::size_t base = endpoint.find('/', scheme + 3);
  location.host = endpoint.substr(scheme + 3, base == std::string::npos ? base : base - scheme - 3);
  location.path = base == std::string::npos ? "" : endpoint.substr(base);
  location.path += EncodeS3Path((in_path ? "/" + bucket : "") + key);
  location.url = endpoint.substr(0, scheme + 3) + location.host + location.path;
  return location;
}

}  // namespace mayfly::runtime
