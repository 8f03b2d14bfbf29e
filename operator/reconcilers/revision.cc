#include "operator/reconcilers/revision.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <utility>

namespace mayfly::op {
namespace {

// Appends a field so that no two lists of fields give the same text.
void Append(std::string& text, std::string_view field) { text += fmt::format("{}:{};", field.size(), field); }

std::string ShortHash(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string hex;
  for (int i = 0; i < 5; ++i) hex += fmt::format("{:02x}", digest[static_cast<std::size_t>(i)]);
  return hex;
}

}  // namespace

Revision MakeRevision(std::shared_ptr<const Function> function, std::string artifact_path,
                      std::string artifact_sha256) {
  const FunctionSpec& spec = function->spec;
  std::string text;
  Append(text, artifact_sha256);
  Append(text, spec.handler);
  Append(text, spec.config_json);
  for (const auto& [name, value] : spec.environment) {
    Append(text, name);
    Append(text, value);
  }
  Append(text, fmt::format("{}/{}/{}", spec.concurrency, spec.memory_limit_bytes, spec.max_request_bytes));
  return {.name = ShortHash(text),
          .function = std::move(function),
          .artifact_path = std::move(artifact_path),
          .artifact_sha256 = std::move(artifact_sha256)};
}

v1::LoadRequest MakeLoadRequest(const Revision& revision, std::uint64_t epoch) {
  const FunctionSpec& spec = revision.function->spec;
  v1::LoadRequest request;
  request.set_epoch(epoch);
  request.set_function(revision.function->Key());
  request.set_revision(revision.name);
  request.set_path(revision.artifact_path);
  request.set_sha256(revision.artifact_sha256);
  request.set_handler(spec.handler);
  request.set_config_json(spec.config_json);
  for (const auto& [name, value] : spec.environment) (*request.mutable_environment())[name] = value;
  request.set_concurrency(static_cast<std::uint32_t>(spec.concurrency));
  request.set_timeout_ms(static_cast<std::uint32_t>(spec.timeout.count()));
  request.mutable_limits()->set_worker_memory_bytes(spec.memory_limit_bytes);
  request.mutable_limits()->set_max_request_bytes(spec.max_request_bytes);
  return request;
}

}  // namespace mayfly::op
