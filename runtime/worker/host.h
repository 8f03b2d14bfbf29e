// What the module is offered: the functions of mayfly_host, and the response behind mayfly_response.
//
// One process has one host. The response's rules (one head, then data, then end; exactly one answer) are kept
// here for honest modules; the runtime checks them again.
#pragma once

#include <string>

#include "mayfly/function.h"
#include "runtime/worker/channel.h"

namespace mayfly::worker {

class Response {
 public:
  explicit Response(Channel& channel) : channel_(channel) {}

  int Reply(std::uint32_t status, mayfly_str content_type, const void* body, std::size_t size);
  int AddHeader(mayfly_str name, mayfly_str value);
  int Begin(std::uint32_t status, mayfly_str content_type);
  int Write(const void* data, std::size_t size);
  int End();
  int Fail(mayfly_str message);

  // Handle has returned `result`: tells the runtime, and is ready for the next invocation.
  void Done(int result, bool stray_children);

 private:
  enum class State { kOpen, kBegun, kAnswered };
  int Head(std::uint32_t status, mayfly_str content_type);
  int AlreadyAnswered();

  Channel& channel_;
  State state_ = State::kOpen;
  bool answered_twice_ = false;
  std::uint32_t header_count_ = 0;
  std::string headers_;
};

// The host that modules get; it lives as long as the process. Until SetChannel() its log lines go to `log_fd`
// without an invocation.
const mayfly_host& Host();
void SetLogDescriptor(int log_fd);
void SetChannel(Channel* channel);

}  // namespace mayfly::worker
