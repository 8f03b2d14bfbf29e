#include "operator/api/function_resource.h"

#include <utility>

#include "operator/api/field_reader.h"
#include "operator/api/function_spec.h"
#include "operator/api/function_status.h"
#include "operator/api/json_document.h"
#include "operator/api/names.h"

namespace mayfly::op {

absl::StatusOr<FunctionResource> ParseFunctionResource(std::string_view json) {
  absl::StatusOr<YamlNode> object = ParseJson(json);
  if (!object.ok()) return object.status();
  absl::StatusOr<ObjectMeta> meta = ReadObjectMeta(*object);
  if (!meta.ok()) return meta.status();

  FunctionResource resource;
  resource.meta = *std::move(meta);
  resource.document.key = resource.meta.Key();

  MistakeList mistakes("", UnknownFields::kIgnore);
  FieldReader reader(*object, "", mistakes);
  Function function;
  function.name = resource.meta.name;
  function.space = resource.meta.space;
  function.labels = resource.meta.labels;
  function.generation = resource.meta.generation;
  const std::string wrong = CheckLabelName(function.name);
  if (!wrong.empty()) {
    if (const YamlNode* metadata = reader.Find("metadata")) mistakes.Add(*metadata, "metadata.name", wrong);
  }
  if (const YamlNode* spec = reader.Find("spec")) {
    function.spec = ReadFunctionSpec(*spec, {}, mistakes);
  } else {
    reader.Wrong("spec", "is missing; write spec: {artifact: {image: …}}");
  }
  if (mistakes.empty()) {
    resource.document.function = std::move(function);
  } else {
    resource.document.mistakes = mistakes.Take();
  }
  if (const YamlNode* status = FindEntry(&*object, "status")) resource.status = ReadFunctionStatus(*status);
  return resource;
}

}  // namespace mayfly::op
