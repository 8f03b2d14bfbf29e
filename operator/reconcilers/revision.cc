#include "operator/reconcilers/revision.h"

#include <fmt/format.h>

#include <utility>

#include "base/digest.h"

namespace mayfly::op {
namespace {

// Appends a field so that no two lists of fields give the same text.
void Append(std::string& text, std::string_view field) { text += fmt::format("{}:{};", field.size(), field); }

// How long one Load may wait for a module that is fetched; after that it is asked for again.
constexpr std::uint32_t kFetchWaitMs = 3'000;

std::string ShortHash(const std::string& text) { return base::Sha256Hex(text).substr(0, 10); }

}  // namespace

std::optional<Revision> MakeRevision(const FunctionObject& object) {
  const std::string& identity =
      object.artifact_identity.empty() ? object.artifact_sha256 : object.artifact_identity;
  if (object.function == nullptr || object.artifact_problem || identity.empty()) return std::nullopt;
  const FunctionSpec& spec = object.function->spec;
  std::string text;
  Append(text, identity);
  Append(text, spec.handler);
  Append(text, spec.config_json);
  for (const auto& [name, value] : spec.environment) {
    Append(text, name);
    Append(text, value);
  }
  Append(text, fmt::format("{}/{}/{}", spec.concurrency, spec.memory_limit_bytes, spec.max_request_bytes));
  return Revision{.name = ShortHash(text),
                  .function = object.function,
                  .artifact_path = object.artifact_path,
                  .artifact_sha256 = object.artifact_sha256,
                  .artifact_bytes = object.artifact_bytes,
                  .artifact_url = object.artifact_url,
                  .artifact_image = object.artifact_image};
}

v1::LoadRequest MakeLoadRequest(const Revision& revision, std::uint64_t epoch,
                                const std::optional<v1::ModuleImage>& image) {
  const FunctionSpec& spec = revision.function->spec;
  v1::LoadRequest request;
  request.set_epoch(epoch);
  request.set_function(revision.function->Key());
  request.set_revision(revision.name);
  if (image) {
    *request.mutable_image() = *image;
    request.set_fetch_wait_ms(kFetchWaitMs);
  } else if (revision.artifact_bytes != nullptr) {
    request.set_inline_(*revision.artifact_bytes);
  } else if (!revision.artifact_url.empty()) {
    request.set_url(revision.artifact_url);
    request.set_fetch_wait_ms(kFetchWaitMs);
  } else {
    request.set_path(revision.artifact_path);
    request.set_source_path(spec.artifact.path);
  }
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
