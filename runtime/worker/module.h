// The user's module, mapped into this process, and the one handler of it that is served.
//
// Main thread only.
#pragma once

#include <cstdint>
#include <string>

#include "mayfly/function.h"

// Where create() and after_fork() leave their sentence.
struct mayfly_error {
  std::string text;
};

namespace mayfly::worker {

class Module {
 public:
  // Maps the module and finds the handler ("" means the only one). On failure false, with `reason` (LoadFailed,
  // AbiMismatch, HandlerNotFound) and a sentence in `problem`.
  bool Map(const std::string& path, const std::string& handler, const mayfly_host& host, std::string& reason,
           std::string& problem);

  // Calls create(). On failure false, with reason CreateFailed.
  bool Create(const mayfly_host& host, const std::string& config_json, std::string& reason,
              std::string& problem);
  bool AfterFork(std::string& problem);
  int Handle(const mayfly_event& event, mayfly_response* response);
  void Destroy();

  const char* handler_name() const { return handler_->name; }
  bool may_fork() const { return (handler_->flags & MAYFLY_NO_FORK) == 0; }

 private:
  const mayfly_handler* handler_ = nullptr;
  void* instance_ = nullptr;
};

}  // namespace mayfly::worker
