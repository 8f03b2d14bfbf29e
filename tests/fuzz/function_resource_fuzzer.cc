// Any bytes are an object of the API server, or are refused, in bounded time; and a status that was read is the same
// text whenever it is written, or the operator would write it for ever.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "operator/api/function_resource.h"
#include "operator/api/function_status.h"
#include "operator/api/json_document.h"
#include "operator/api/names.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckFunction(const mayfly::op::Function& function) {
  Require(mayfly::op::CheckLabelName(function.name).empty());
  Require(function.spec.scaling.min_replicas <= function.spec.scaling.max_replicas);
  Require(function.spec.concurrency >= 1 && function.spec.timeout.count() > 0);
  Require(function.spec.artifact.path.empty() || function.spec.artifact.path.starts_with('/'));
}

void CheckStatus(const mayfly::op::FunctionStatus& status) {
  const std::string text = mayfly::op::FunctionStatusToJson(status, "f");
  const auto node = mayfly::op::ParseJson(text);
  Require(node.ok());
  Require(mayfly::op::FunctionStatusToJson(mayfly::op::ReadFunctionStatus(*node), "f") == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto resource =
      mayfly::op::ParseFunctionResource(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!resource.ok()) {
    Require(!resource.status().message().empty());
    return 0;
  }
  Require(!resource->meta.name.empty());
  Require(resource->document.function.has_value() == resource->document.mistakes.empty());
  for (const mayfly::op::Mistake& mistake : resource->document.mistakes) Require(!mistake.ToString().empty());
  if (resource->document.function) CheckFunction(*resource->document.function);
  if (resource->status) CheckStatus(*resource->status);
  return 0;
}
