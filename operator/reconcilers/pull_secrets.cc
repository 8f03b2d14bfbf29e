#include "operator/reconcilers/pull_secrets.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "operator/api/image_name.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;

constexpr int kMostLogins = 16;
constexpr std::size_t kMostBytes = 64u << 10;
constexpr char kConfigKey[] = ".dockerconfigjson";
constexpr char kOldConfigKey[] = ".dockercfg";
constexpr char kAuthorityKey[] = "ca.crt";

// What a login is for: "https://registry.example.com/v1/", "*.example.com", "registry.example.com/tools".
ImageName ReadPlace(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  while (text.ends_with('/')) text.remove_suffix(1);
  for (const std::string_view version : {"/v1", "/v2"})
    if (text.ends_with(version)) text.remove_suffix(version.size());
  const std::size_t slash = text.find('/');
  ImageName place{.host = std::string(text.substr(0, slash)), .path = ""};
  if (slash != std::string_view::npos) place.path = text.substr(slash + 1);
  if (place.host == "index.docker.io" || place.host == "registry-1.docker.io") place.host = "docker.io";
  return place;
}

// "*" stands for one label of the host, or a part of it.
bool IsFor(const ImageName& place, const ImageName& image) {
  const auto labels = [](const std::string& host) { return std::count(host.begin(), host.end(), '.'); };
  if (labels(place.host) != labels(image.host) || ::fnmatch(place.host.c_str(), image.host.c_str(), 0) != 0)
    return false;
  return place.path.empty() || image.path == place.path || image.path.starts_with(place.path + "/");
}

std::string Text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

v1::RegistryLogin ReadLogin(const Json& entry) {
  v1::RegistryLogin login;
  login.set_username(Text(entry, "username"));
  login.set_password(Text(entry, "password"));
  login.set_identity_token(Text(entry, "identitytoken"));
  login.set_registry_token(Text(entry, "registrytoken"));
  std::string both;
  if (absl::Base64Unescape(Text(entry, "auth"), &both)) {
    const std::size_t colon = both.find(':');
    if (colon != std::string::npos) {
      login.set_username(both.substr(0, colon));
      login.set_password(both.substr(colon + 1));
    }
  }
  return login;
}

bool IsEmpty(const v1::RegistryLogin& login) {
  return login.password().empty() && login.identity_token().empty() && login.registry_token().empty();
}

// Whether only people can mend it.
bool IsFinal(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status);
}

std::string WhyLeftOut(const Function& function, const std::string& name, const absl::Status& status) {
  if (!absl::IsNotFound(status)) return std::string(status.message());
  return fmt::format(
      "there is no Secret {} in namespace {}: make it with `kubectl create secret docker-registry {} "
      "--namespace {} "
      "--docker-server=… --docker-username=… --docker-password=…`",
      name, function.space, name, function.space);
}

}  // namespace

std::string AddLogins(const SecretData& secret, v1::ModuleImage* image) {
  const ImageName name = SplitImageName(image->reference());
  if (const auto authority = secret.find(kAuthorityKey); authority != secret.end())
    image->mutable_ca_certificates()->append(authority->second + "\n");
  auto config = secret.find(kConfigKey);
  const bool old = config == secret.end();
  if (old) config = secret.find(kOldConfigKey);
  if (config == secret.end()) {
    return fmt::format("has neither {} nor {}: make it with `kubectl create secret docker-registry`",
                       kConfigKey, kOldConfigKey);
  }
  const Json document = Json::parse(config->second, nullptr, false);
  const auto auths = document.is_object() && !old ? document.find("auths") : document.end();
  const Json* entries = old ? &document : auths != document.end() ? &*auths : nullptr;
  if (entries == nullptr || !entries->is_object())
    return fmt::format("has a {} that is not what `docker login` writes", config->first);
  // By how much of the image's name they say.
  std::multimap<std::tuple<std::size_t, bool, std::size_t>, v1::RegistryLogin, std::greater<>> found;
  for (const auto& [key, entry] : entries->items()) {
    const ImageName place = ReadPlace(key);
    if (!entry.is_object() || !IsFor(place, name)) continue;
    v1::RegistryLogin login = ReadLogin(entry);
    if (IsEmpty(login)) continue;
    found.emplace(std::tuple(place.path.size(), place.host == name.host, place.host.size()),
                  std::move(login));
  }
  for (auto& [closeness, login] : found)
    if (image->logins_size() < kMostLogins) *image->add_logins() = std::move(login);
  if (found.empty()) return fmt::format("has no login for {}", name.host);
  return "";
}

absl::StatusOr<PullSecrets> ReadPullSecrets(const Cluster& cluster, const Function& function,
                                            const v1::ModuleImage& image) {
  PullSecrets result{.image = image, .left_out = ""};
  for (const std::string& name : function.spec.image_pull_secrets) {
    const absl::StatusOr<SecretData> secret = cluster.GetSecret(function.space, name);
    std::string why;
    if (secret.ok()) {
      std::size_t bytes = 0;
      for (const auto& [key, value] : *secret) bytes += key.size() + value.size();
      why = bytes > kMostBytes ? fmt::format("has {} bytes; at most {} are read", bytes, kMostBytes)
                               : AddLogins(*secret, &result.image);
      if (!why.empty()) why = fmt::format("Secret {} {}", name, why);
    } else if (IsFinal(secret.status())) {
      why = WhyLeftOut(function, name, secret.status());
    } else {
      return base::WithContext(secret.status(),
                               fmt::format("reading Secret {} of spec.imagePullSecrets", name));
    }
    if (!why.empty()) result.left_out += (result.left_out.empty() ? "" : "; ") + why;
  }
  return result;
}

}  // namespace mayfly::op
