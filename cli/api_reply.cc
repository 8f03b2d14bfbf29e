#include "cli/api_reply.h"

#include <nlohmann/json.hpp>

namespace mayfly::cli {
namespace {

using Json = nlohmann::ordered_json;

admin::Reply Reply(int code, const Json& json) {
  return {code, "application/json", json.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

}  // namespace

admin::Reply JsonReply(const Json& json) { return Reply(200, json); }

admin::Reply ErrorReply(int code, const std::string& message) { return Reply(code, {{"message", message}}); }

admin::Reply ErrorReply(const absl::Status& status) {
  const int code = absl::IsNotFound(status) ? 404 : absl::IsInvalidArgument(status) ? 400 : 503;
  return ErrorReply(code, std::string(status.message()));
}

}  // namespace mayfly::cli
