// CloudEvents 1.0 as HTTP carries them: attributes in ce- headers (binary), or a JSON document (structured).
//
// What the specification forbids is refused with 400 and the attribute's name: a missing or empty id, source
// or type, another specversion, an attribute name that is not lower-case letters and digits, a time that is
// not RFC 3339, both data and data_base64. A batch is refused with 415: it has no one event to give to a
// function.
//
// Functions here are pure.
#pragma once

#include <string>
#include <string_view>

#include "gateway/http/refusal.h"
#include "gateway/http/request_head.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

enum class EventMode { kRequest, kBinary, kStructured };

// How `head` carries an event.
Refusal FindEventMode(const RequestHead& head, EventMode* mode);

// Fills the attributes of `*event` from the ce- headers.
Refusal FillBinaryEvent(const RequestHead& head, v1::Event* event);

// Takes the attributes of `*event` out of `*body`, a JSON event, and leaves its data there.
Refusal TakeStructuredEvent(std::string* body, v1::Event* event);

}  // namespace mayfly::gateway
