// spec.triggers[].webhook of a Function manifest.
#pragma once

#include <string>

#include "operator/api/field_reader.h"
#include "operator/api/function.h"

namespace mayfly::op {

// Makes `trigger`, which has its name, a webhook: its route and its events. `path` is the field's own. What is wrong goes to
// `mistakes`.
void ReadWebhook(const YamlNode& node, const std::string& path, MistakeList& mistakes, Trigger* trigger);

// As manifests write it.
std::string WebhookType(const v1::WebhookTrigger& webhook);

}  // namespace mayfly::op
