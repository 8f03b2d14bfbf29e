// The names that Kubernetes and HTTP allow.
//
// Each function returns "" for a good name, or a clause that says what is wrong with it and how to mend it.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::op {

// RFC 1123 label: lower-case letters, digits and "-", not at either end, at most 63 characters.
std::string CheckLabelName(std::string_view name);

// RFC 1123 subdomain, as most objects of Kubernetes are named: such labels with dots between, at most 253 characters.
std::string CheckSubdomain(std::string_view name);

// "example.com", in lower case, or "*.example.com"; no port.
std::string CheckHost(std::string_view host);

// The path of a route: "/", "/users/{id}", "/files/{rest...}".
std::string CheckRoutePath(std::string_view path);

// A key of metadata.labels or metadata.annotations: [prefix/]name.
std::string CheckLabelKey(std::string_view key);
std::string CheckLabelValue(std::string_view value);

// The reference of an OCI image, by its form alone.
std::string CheckImage(std::string_view image);

// A key of a ConfigMap's data.
std::string CheckConfigMapKey(std::string_view key);

// An environment variable of a worker.
std::string CheckVariableName(std::string_view name);

}  // namespace mayfly::op
