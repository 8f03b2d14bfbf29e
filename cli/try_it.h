// How to call a function: its URL, and a curl line that works as it stands.
#pragma once

#include <string>

#include "cli/function_view.h"

namespace mayfly::cli {

// Of the first HTTP trigger below `gateway_url`, with parameters filled in; by the function's name if it has none, or one
// for another host; "" for a function whose manifest was never right.
std::string UrlOf(const FunctionView& view, const std::string& gateway_url);

// A curl line that works here: the one in the manifest's first line ("# curl … http://127.0.0.1:8080/…"), for this
// address; else one with a method, a body and headers that suit the function, whose body is the file named sample.*
// beside the manifest if there is one. "" if the function has no manifest that is right.
std::string CurlLine(const FunctionView& view, const std::string& gateway_url);

// The path of a route with its parameters filled in: "/users/{id}/{rest...}" as "/users/1/a/b".
std::string FillParameters(const std::string& path);

}  // namespace mayfly::cli
