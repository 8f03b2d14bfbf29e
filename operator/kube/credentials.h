// Credentials say who we are to the API server, and whom we take for it, at this moment.
//
// Tokens of service accounts live an hour, certificates are renewed in place, plugins hand out what expires.
// So files are read again once they are kRereadAfter old, and a plugin runs again shortly before what it gave
// expires or when the server refused it (Invalidate). A file that cannot be read is reported once and what it
// said last is used on: the server is who judges a token.
//
// Thread-safe. Current() may block on files and on the plugin, while other callers wait for the same.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "operator/kube/config.h"
#include "operator/kube/exec_plugin.h"

namespace mayfly::kube {

struct Identity {
  std::string authority;           // PEM of the CAs that are trusted; "" for the machine's own
  std::string client_certificate;  // PEM; "" for none
  std::string client_key;
  std::vector<std::string> headers;  // "Authorization: Bearer …"
};

class Credentials {
 public:
  static constexpr std::chrono::seconds kRereadAfter{30};

  // `clock` must outlive this.
  Credentials(Config config, const base::Clock& clock);

  // Who we are now. The plugin is given until `deadline`. The same pointer as before if nothing changed.
  absl::StatusOr<std::shared_ptr<const Identity>> Current(base::MonotonicTime deadline);

  // The server refused `identity`: what can be renewed is, with the next Current().
  void Invalidate(const std::shared_ptr<const Identity>& identity);

  const Config& config() const { return config_; }

 private:
  struct CachedFile {
    std::string text;
    base::MonotonicTime read;
    bool failing = false;
  };

  absl::StatusOr<std::string> Read(const PemSource& source, std::string_view what);
  absl::StatusOr<std::string> ReadFile(const std::string& file, std::string_view what);
  absl::Status RunPlugin(base::MonotonicTime deadline);
  absl::StatusOr<Identity> Assemble();

  const Config config_;
  const base::Clock& clock_;

  std::mutex mutex_;
  std::map<std::string, CachedFile> files_;  // guarded by mutex_
  std::optional<ExecCredential> plugin_;     // guarded by mutex_
  std::shared_ptr<const Identity> current_;  // guarded by mutex_
  base::MonotonicTime assembled_;            // guarded by mutex_
  bool stale_ = true;                        // guarded by mutex_
};

}  // namespace mayfly::kube
