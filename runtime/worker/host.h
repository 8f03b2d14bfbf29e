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
  // REQUIRES: it is the only one in this process.
  explicit Response(Channel& channel);

  // What the next invocation's handler gets. It names that invocation only: whoever kept it and uses it after Close(), such
  // as a thread that was left behind, gets ESTALE and does not reach into the answer to somebody else.
  mayfly_response* Open();
  void Close();
  // The response that `handle` names, if its invocation still runs.
  static Response* Of(const mayfly_response* handle);

  int Reply(std::uint32_t status, mayfly_str content_type, const void* body, std::size_t size);
  int AddHeader(mayfly_str name, mayfly_str value);
  int Begin(std::uint32_t status, mayfly_str content_type);
  int Write(const void* data, std::size_t size);
  int End();
  int Fail(mayfly_str message);

  // Handle has returned `result`: tells the runtime, and is ready for the next invocation. `strays` are flags of the
  // DoneRecord: if anything was left behind there is no next one, and this process waits for its end.
  void Done(int result, std::uint32_t strays, std::uint64_t began_ns, std::uint64_t ended_ns);

 private:
  enum class State { kOpen, kBegun, kAnswered };
  int Head(std::uint32_t status, mayfly_str content_type);
  int AlreadyAnswered();

  Channel& channel_;
  State state_ = State::kOpen;
  bool answered_twice_ = false;
  std::uintptr_t opened_ = 0;  // how many invocations there were
  std::uint32_t header_count_ = 0;
  std::string headers_;
};

// The host that modules get; it lives as long as the process. Until SetChannel() its log lines go to `log_fd`
// without an invocation.
const mayfly_host& Host();
void SetLogDescriptor(int log_fd);
void SetChannel(Channel* channel);

}  // namespace mayfly::worker
