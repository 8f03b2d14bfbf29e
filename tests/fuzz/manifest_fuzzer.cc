// Any bytes are a manifest or a list of mistakes, never both, in bounded time: the operator reads them from whoever may
// write a file or an object.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "operator/api/manifest.h"
#include "operator/api/names.h"
#include "operator/api/triggers.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckFunction(const mayfly::op::Function& function) {
  using mayfly::op::CheckLabelName;
  Require(CheckLabelName(function.name).empty() && CheckLabelName(function.space).empty());
  Require(function.spec.scaling.min_replicas <= function.spec.scaling.max_replicas);
  Require(function.spec.concurrency >= 1 && function.spec.timeout.count() > 0);
  Require(function.spec.config_json.starts_with('{'));
  for (const mayfly::op::Trigger& trigger : mayfly::op::EffectiveHttpTriggers(function)) {
    Require(mayfly::op::CheckRoutePath(trigger.http->path).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const mayfly::op::Manifest manifest = mayfly::op::ParseManifest(text, "fuzz.yaml");
  for (const mayfly::op::ManifestDocument& document : manifest.documents) {
    Require(document.function.has_value() == document.mistakes.empty());
    if (document.function) CheckFunction(*document.function);
  }
  for (const mayfly::op::Mistake& mistake : manifest.AllMistakes()) {
    Require(mistake.line >= 1 && mistake.column >= 1 && !mistake.sentence.empty());
  }
  return 0;
}
