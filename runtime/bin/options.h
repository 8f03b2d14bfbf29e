// The command line of mayfly-runtime.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/log.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::runtime {

struct Options {
  std::string listen = "unix:/run/mayfly/runtime.sock";
  std::string admin;  // "": none
  std::string state_dir = "/var/lib/mayfly";
  std::string tls;  // folder; "": no TLS
  std::string worker;
  std::string symbolizer;
  std::string fetcher;
  std::string module_cache;  // "": a folder of state_dir
  std::uint64_t module_cache_bytes = 1ull << 30;
  std::string artifact_credentials;  // "": none but the environment's
  base::log::Level log_level = base::log::Level::kInfo;
  base::log::Format log_format = base::log::Format::kLogfmt;
  std::optional<std::chrono::milliseconds> drain_timeout;  // default: the function's timeout and 5 s
  int ready_fd = -1;                                       // a byte is written here once calls are answered
  bool parent_death = false;
  bool spare_worker = false;
  std::optional<v1::LoadRequest> load;  // to load at once
};

// Reads the command line. The program's exit code, with its text printed, if it is not to run.
std::optional<int> ParseOptions(int argc, char** argv, Options& options);

}  // namespace mayfly::runtime
