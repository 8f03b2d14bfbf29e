// CloudEvents 1.0 as JSON and as headers carry them, whatever the protocol around them.
//
// What the specification forbids is kInvalidArgument with the attribute's name: a missing or empty id, source, type,
// subject or dataschema, another specversion, an attribute name that is not lower-case letters and digits, a time that is
// not RFC 3339, a datacontenttype that is no media type, an extension that is neither text, integer nor boolean, both data
// and data_base64.
//
// Functions here are pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

struct CloudEvent {
  v1::Event event;
  std::string data;
};

// Sets one attribute; an extension if the specification does not name it.
absl::Status SetAttribute(std::string_view name, std::string value, v1::Event* event);

// Whether what an event must have is there; `has_version`: specversion was.
absl::Status CheckComplete(const v1::Event& event, bool has_version);

// A header's value as the HTTP binding writes it: quotes taken off, then one round of percent-decoding. False if what
// comes out is not UTF-8 (an overlong form is none).
bool DecodeHeaderValue(std::string_view value, std::string* out);

// One event of the JSON format.
absl::StatusOr<CloudEvent> ReadJsonEvent(std::string_view text);

// A batch of the JSON format, of `most` events at most; it may be empty.
absl::StatusOr<std::vector<CloudEvent>> ReadJsonBatch(std::string_view text, std::size_t most);

// Whether `text` is a time as RFC 3339 writes it: shape and ranges.
bool IsRfc3339(std::string_view text);

}  // namespace mayfly::gateway
