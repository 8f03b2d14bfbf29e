// An Instance is a running `mayfly up`, found and asked by the other commands.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mayfly::cli {

class Instance {
 public:
  // The one on `port`; with 0, the one that $PORT names, or the only one that runs. kUnavailable if none does,
  // kFailedPrecondition if there are several to choose from.
  static absl::StatusOr<Instance> Find(int port);

  // The body that `path` is answered with. kNotFound if the answer is 404.
  absl::StatusOr<std::string> Get(const std::string& path) const;

  // The same of a POST without a body.
  absl::StatusOr<std::string> Post(const std::string& path) const;

  // The gateway's, without a slash at its end.
  const std::string& url() const { return url_; }

 private:
  absl::StatusOr<std::string> Ask(const std::string& method, const std::string& path) const;

  std::string socket_;
  std::string url_;
};

// "namespace/name" of what a person typed: "name" is taken from the default namespace.
std::string KeyOf(std::string_view name);

// The exit code that suits a status of Instance.
int ExitCodeOf(const absl::Status& status);

}  // namespace mayfly::cli
