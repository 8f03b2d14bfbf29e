// Reads a whole list, page by page.
#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "operator/kube/client.h"

namespace mayfly::kube {

// Calls `on_item` for each object and returns the list's resourceVersion. When the server has forgotten where
// the pages began (a continue token lasts some minutes), `on_restart` is called and the list begins again; the
// third time it is asked for in one piece. call.timeout is for each page.
absl::StatusOr<std::string> ListAll(Client& client, const Resource& resource, std::string_view space,
                                    ListOptions options, absl::FunctionRef<void()> on_restart,
                                    absl::FunctionRef<void(JsonView)> on_item, const CallOptions& call = {});

}  // namespace mayfly::kube
