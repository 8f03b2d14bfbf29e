#include "operator/kube/resource.h"

#include "absl/strings/str_cat.h"

namespace mayfly::kube {
namespace {

bool Unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

}  // namespace

std::string Resource::ApiVersion() const { return group.empty() ? version : group + "/" + version; }

const Resource& Pods() {
  static const Resource resource{"", "v1", "pods", "Pod"};
  return resource;
}

const Resource& ConfigMaps() {
  static const Resource resource{"", "v1", "configmaps", "ConfigMap"};
  return resource;
}

const Resource& Secrets() {
  static const Resource resource{"", "v1", "secrets", "Secret"};
  return resource;
}

const Resource& Events() {
  static const Resource resource{"", "v1", "events", "Event"};
  return resource;
}

const Resource& Leases() {
  static const Resource resource{"coordination.k8s.io", "v1", "leases", "Lease"};
  return resource;
}

std::string KeyOf(std::string_view space, std::string_view name) {
  std::string key;
  key.reserve(space.size() + name.size() + 1);
  if (!space.empty()) key.append(space).append("/");
  key.append(name);
  return key;
}

std::string CollectionPath(const Resource& resource, std::string_view space) {
  std::string path = resource.group.empty() ? "/api/" : absl::StrCat("/apis/", resource.group, "/");
  absl::StrAppend(&path, resource.version);
  if (resource.namespaced && !space.empty()) absl::StrAppend(&path, "/namespaces/", PercentEncode(space));
  absl::StrAppend(&path, "/", resource.plural);
  return path;
}

std::string ObjectPath(const Resource& resource, const Target& target) {
  std::string path = absl::StrCat(CollectionPath(resource, target.space), "/", PercentEncode(target.name));
  if (!target.subresource.empty()) absl::StrAppend(&path, "/", target.subresource);
  return path;
}

std::string Query(const std::map<std::string, std::string>& parameters) {
  std::string query;
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    absl::StrAppend(&query, query.empty() ? "?" : "&", name, "=", PercentEncode(value));
  }
  return query;
}

std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (Unreserved(c)) {
      encoded.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return encoded;
}

}  // namespace mayfly::kube
