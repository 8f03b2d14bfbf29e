// Secrets among manifests: on one machine, what an API server keeps in a cluster.
//
// Values are in no sentence about what is wrong.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/yaml_document.h"

namespace mayfly::op {

// A document of apiVersion v1, kind Secret, as kubectl takes it.
struct SecretManifest {
  std::string name;
  std::string space = "default";            // metadata.namespace
  std::map<std::string, std::string> data;  // with stringData, which wins
  std::string problem;                      // "" if it is right; else there is no data

  bool operator==(const SecretManifest&) const = default;
};

// Whether `document` says that it is a Secret.
bool IsSecret(const YamlNode& document);

// Those of `text` that have a name, in order; none if it is no YAML. Other documents are passed over.
std::vector<SecretManifest> ReadSecrets(std::string_view text);

}  // namespace mayfly::op
