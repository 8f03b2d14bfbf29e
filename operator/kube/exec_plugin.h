// Runs a credential plugin and reads the ExecCredential that it prints.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "operator/kube/config.h"

namespace mayfly::kube {

struct ExecCredential {
  std::string token;
  std::string client_certificate;  // PEM
  std::string client_key;
  // None: it is good until the server says otherwise.
  std::optional<base::WallTime> expires;
};

// Runs the plugin of `config`, which gets no terminal, and waits for it at most until `deadline`; then it and
// what it started are killed. An error says what the plugin printed to stderr, and its install hint if the
// program is not there. REQUIRES: config.exec is set.
absl::StatusOr<ExecCredential> RunExecPlugin(const Config& config, base::MonotonicTime deadline);

// Reads what a plugin of `api_version` printed.
absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view text, const std::string& api_version);

}  // namespace mayfly::kube
