// How to call a function: its URL, and a curl line that works as it stands.
#pragma once

#include <string>

#include "cli/function_view.h"

namespace mayfly::cli {

// Of the first HTTP trigger below `gateway_url`, with parameters filled in; by the function's name if it has none.
std::string UrlOf(const FunctionView& view, const std::string& gateway_url);

// A curl line with a method, a body and headers that suit the function. A file named sample.* beside the manifest is
// what it is tried with; "" if the function has no manifest that is right.
std::string CurlLine(const FunctionView& view, const std::string& gateway_url);

}  // namespace mayfly::cli
