// A Resource is a kind of object as the API server's paths name it, and a Target one such object.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace mayfly::kube {

struct Resource {
  std::string group;    // "" is the core group
  std::string version;  // "v1"
  std::string plural;   // "pods": what paths, rules and metrics call it
  std::string kind;     // "Pod"
  bool namespaced = true;

  // "v1", "mayfly.dev/v1alpha1": the apiVersion of its objects.
  std::string ApiVersion() const;

  bool operator==(const Resource&) const = default;
};

// The kinds that every cluster has and Mayfly uses.
const Resource& Pods();
const Resource& ConfigMaps();
const Resource& Secrets();
const Resource& Events();
const Resource& Leases();

struct Target {
  std::string space;  // namespace; "" if the kind has none
  std::string name;
  std::string subresource;  // "status", "scale"; "" for the object itself
};

// "namespace/name", or "name" without a namespace: what caches and queues call an object.
std::string KeyOf(std::string_view space, std::string_view name);

// "/api/v1/namespaces/photos/pods"; all namespaces if `space` is "".
std::string CollectionPath(const Resource& resource, std::string_view space);
// "/apis/mayfly.dev/v1alpha1/namespaces/photos/functions/thumbnail/status".
std::string ObjectPath(const Resource& resource, const Target& target);

// A query of sorted, percent-encoded parameters with its "?"; "" if there are none. An empty value is left out.
std::string Query(const std::map<std::string, std::string>& parameters);

std::string PercentEncode(std::string_view text);

}  // namespace mayfly::kube
