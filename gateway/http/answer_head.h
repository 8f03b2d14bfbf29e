// The head of an answer: what the function says, checked, and what the gateway adds.
//
// The gateway frames messages itself and keeps to itself: Connection and its like, Transfer-Encoding, Date,
// Server, X-Request-Id and Mayfly-*. A function's other headers pass as they are.
//
// Functions here are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

// "" or a sentence that says why this cannot be sent: a status that is none or interim, a name that is no
// token, a value with control bytes, too much of it, a Content-Length that is no number or comes twice.
std::string CheckAnswerHead(const v1::ResponseHead& head);

// "HTTP/1.1 200 OK\r\n".
void AppendStatusLine(int status, std::string* out);
void AppendHeader(std::string_view name, std::string_view value, std::string* out);
void AppendNumberHeader(std::string_view name, std::uint64_t value, std::string* out);
// The function's headers that pass; its Content-Length is returned instead.
// REQUIRES: CheckAnswerHead() found nothing.
std::optional<std::uint64_t> AppendFunctionHeaders(const v1::ResponseHead& head, std::string* out);

// Mayfly-Wall-Ms, Mayfly-Cpu-Ms (milliseconds with three digits), Mayfly-Peak-Rss-Bytes, Mayfly-Cold.
void AppendMetering(const v1::Metering& metering, std::string* out);
inline constexpr std::string_view kMeteringNames =
    "Mayfly-Wall-Ms, Mayfly-Cpu-Ms, Mayfly-Peak-Rss-Bytes, Mayfly-Cold";

// Whether an answer of `status` has no body whatever its headers say.
bool HasNoBody(int status);

}  // namespace mayfly::gateway
