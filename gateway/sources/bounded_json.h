// JSON that strangers wrote, as a document whose depth is bounded: nesting costs a parser its stack.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mayfly::gateway {

// kInvalidArgument if `text` is no JSON, or is nested deeper than 64.
inline absl::StatusOr<nlohmann::json> ParseBoundedJson(std::string_view text) {
  constexpr int kDeepest = 64;
  bool too_deep = false;
  nlohmann::json document = nlohmann::json::parse(
      text,
      [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
        too_deep = too_deep || depth > kDeepest;
        return !too_deep;
      },
      false);
  if (too_deep) return absl::InvalidArgumentError("the JSON is nested too deeply");
  if (document.is_discarded()) return absl::InvalidArgumentError("the body is not JSON");
  return document;
}

// The text at `path` of `document`, or "" if there is none; a number as it is written.
inline std::string JsonText(const nlohmann::json& document, std::initializer_list<const char*> path) {
  const nlohmann::json* at = &document;
  for (const char* name : path) {
    if (!at->is_object()) return {};
    const auto found = at->find(name);
    if (found == at->end()) return {};
    at = &*found;
  }
  if (at->is_string()) return at->get<std::string>();
  if (at->is_number_integer()) return at->dump();
  return {};
}

}  // namespace mayfly::gateway
