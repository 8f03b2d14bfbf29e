#include "operator/pki/kube_secret_store.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"

namespace mayfly::op {
namespace {

using Json = nlohmann::json;

constexpr char kRotate[] = "mayfly.dev/rotate";

kube::Target TargetOf(const SecretName& name) {
  return {.space = name.space, .name = name.name, .subresource = {}};
}

Json Encode(const std::map<std::string, std::string>& data) {
  Json encoded = Json::object();
  for (const auto& [key, value] : data) encoded[key] = absl::Base64Escape(value);
  return encoded;
}

}  // namespace

absl::StatusOr<Secret> KubeSecretStore::Get(const SecretName& name) {
  const absl::StatusOr<kube::JsonDocument> document = client_.Get(kube::Secrets(), TargetOf(name));
  if (!document.ok()) return document.status();
  Secret secret;
  const kube::JsonView metadata = document->root()["metadata"];
  secret.uid = metadata["uid"].Text();
  secret.version = metadata["resourceVersion"].Text();
  secret.wish = metadata["annotations"][kRotate].Text();
  document->root()["data"].ForEachField([&](std::string_view key, kube::JsonView value) {
    std::string text;
    if (absl::Base64Unescape(std::string(value.Text()), &text))
      secret.data[std::string(key)] = std::move(text);
  });
  return secret;
}

absl::Status KubeSecretStore::Replace(const SecretName& name, const std::map<std::string, std::string>& data,
                                      const std::string& version) {
  const Json patch = {{"metadata", {{"resourceVersion", version}}}, {"data", Encode(data)}};
  return client_
      .Patch(kube::Secrets(), TargetOf(name), kube::PatchType::kMerge, patch.dump(),
             {.field_manager = "mayfly-operator"})
      .status();
}

absl::Status KubeSecretStore::Put(const SecretName& name, const std::map<std::string, std::string>& data,
                                  const SecretName& owner, const std::string& owner_uid) {
  Json secret = {{"apiVersion", "v1"},
                 {"kind", "Secret"},
                 {"type", "kubernetes.io/tls"},
                 {"metadata",
                  {{"name", name.name},
                   {"namespace", name.space},
                   {"labels", {{"app.kubernetes.io/managed-by", "mayfly"}}}}},
                 {"data", Encode(data)}};
  if (!owner_uid.empty()) {
    secret["metadata"]["ownerReferences"] = {
        {{"apiVersion", "v1"}, {"kind", "Secret"}, {"name", owner.name}, {"uid", owner_uid}}};
  }
  return client_.Apply(kube::Secrets(), TargetOf(name), secret.dump(), {.field_manager = "mayfly-operator"})
      .status();
}

absl::Status KubeSecretStore::Delete(const SecretName& name) {
  const absl::Status status = client_.Delete(kube::Secrets(), TargetOf(name));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

void KubeSecretStore::Warn(const SecretName& name, const std::string& uid, const std::string& message) {
  events_.Record(
      {.regarding =
           {.api_version = "v1", .kind = "Secret", .space = name.space, .name = name.name, .uid = uid},
       .warning = true,
       .reason = "CertificateNotKept",
       .message = message});
}

}  // namespace mayfly::op
