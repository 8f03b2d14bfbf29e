#include "gateway/bin/route_file.h"

#include <google/protobuf/util/json_util.h>

#include <cerrno>
#include <fstream>
#include <sstream>

namespace mayfly::gateway {

absl::StatusOr<v1::RouteUpdate> ReadRouteFile(const std::string& path, std::uint64_t version) {
  std::ifstream file(path);
  if (!file) return base::ErrnoStatus(errno, "routes " + path);
  std::ostringstream text;
  text << file.rdbuf();
  v1::RouteUpdate update;
  const auto parsed = google::protobuf::util::JsonStringToMessage(text.str(), &update);
  if (!parsed.ok()) return absl::InvalidArgumentError("routes " + path + ": " + parsed.ToString());
  update.set_version(version);
  update.set_snapshot(true);
  return update;
}

}  // namespace mayfly::gateway
