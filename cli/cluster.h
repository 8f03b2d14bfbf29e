// A Cluster is the Kubernetes that `kubectl mayfly` asks: what kubectl's own flags and environment name.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace mayfly::cli {

struct ClusterFlags {
  std::string kubeconfig;
  std::string context;
  std::string space;  // of -n
  bool all_spaces = false;
};

class Cluster {
 public:
  // Says which cluster it is that does not answer, or why none is known.
  static absl::StatusOr<std::unique_ptr<Cluster>> Open(const ClusterFlags& flags);
  ~Cluster();

  // The namespace to work in: of -n, else the context's.
  const std::string& space() const { return space_; }

  // The body of an API path, which begins with "/api".
  absl::StatusOr<std::string> Get(const std::string& path) const;
  // Hands over the body line by line as it comes, until its end or a stop.
  absl::Status Follow(const std::string& path, const std::function<void(std::string_view line)>& on_line,
                      std::stop_token stop) const;

  struct Call {
    std::string method;
    std::string path;  // of the API, percent-encoded
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    std::chrono::seconds timeout{300};
  };
  struct Answer {
    int status = 0;
    std::string body;
    std::map<std::string, std::string> headers;  // names in lower case
  };
  // A request to what the API server is a proxy for, whatever it answers. What the API server itself refuses is an
  // error.
  absl::StatusOr<Answer> Send(const Call& call) const;

 private:
  struct Impl;

  Cluster();

  std::unique_ptr<Impl> impl_;
  std::string space_;
};

}  // namespace mayfly::cli
