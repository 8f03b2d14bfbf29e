// What pages of the control API answer with: JSON, whatever bytes are in its strings.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "admin/admin_server.h"
#include "base/status.h"

namespace mayfly::cli {

admin::Reply JsonReply(const nlohmann::ordered_json& json);

// {"message"}
admin::Reply ErrorReply(int code, const std::string& message);
// The same with the code that suits `status`: 404, 400 or 503.
admin::Reply ErrorReply(const absl::Status& status);

}  // namespace mayfly::cli
