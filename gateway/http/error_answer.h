// What a failed invocation looks like over HTTP: its status, and the JSON body that every error has.
//
// Functions here are pure.
#pragma once

#include <string>
#include <string_view>

#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

// The status of an invocation that ended without an answer: by problem.reason if the gateway gave it (see
// delivery/dispatcher.h), else by its outcome.
int StatusOf(const v1::Result& result);

// Whether an answer of `status` tells the client when to come back.
bool HasRetryAfter(int status);

// {"requestId": …, "component": …, "reason": …, "message": …}, and a newline. Bytes that are not UTF-8 are
// replaced.
std::string ErrorBody(std::string_view request_id, std::string_view component, std::string_view reason,
                      std::string_view message);

// One CamelCase word for an outcome that came without a reason.
std::string_view ReasonOf(v1::Outcome outcome);

}  // namespace mayfly::gateway
