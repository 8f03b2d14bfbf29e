// A ServerProcess is a real server under a test: started by tests/servers/server on a port of its own, with its data in a
// folder that goes with the test. It can be killed, stopped, frozen and started again on the same port and data.
//
// It dies with the thread that started it. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/testing/temp_dir.h"

namespace mayfly::testing {

class ServerProcess {
 public:
  struct Options {
    std::string name;                         // as tests/servers/server knows it
    std::vector<std::string> arguments = {};  // the server's own
    // Whether the server at 127.0.0.1:`port` is of use; asked again and again once it takes connections. Null: it is then.
    std::function<bool(int port)> ready = {};
    std::chrono::milliseconds patience = std::chrono::seconds(30);
    int stop_signal = SIGTERM;  // by which it ends in order
  };

  explicit ServerProcess(Options options);
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  // Kills it.
  ~ServerProcess();

  // Returns once it is ready; what it wrote, if it is not in time. The first start chooses a port that is free, and further
  // ones take the same.
  absl::Status Start();
  void Kill();  // SIGKILL; returns when it is gone
  // Options::stop_signal; SIGKILL if that does not end it in time.
  void Stop();
  void Freeze() const;
  void Thaw() const;
  void Signal(int number) const;

  bool running() const { return pid_ > 0; }
  int port() const { return port_; }
  // Its data, and `log`. It is there before the first start: for files that the arguments name.
  const std::string& folder() const { return folder_.path(); }
  // What it wrote since it was first started.
  std::string Log() const;

 private:
  absl::Status Launch();
  bool Wait(std::chrono::milliseconds within);  // true once it is gone

  const Options options_;
  base::TempDir folder_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// A port of 127.0.0.1 that nobody listened on a moment ago.
int FreePort();

// Whether somebody takes connections on 127.0.0.1:`port`.
bool Accepts(int port);

}  // namespace mayfly::testing
